"""The entries of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fl_chain.records import Digest, digest

UCI = "https://archive.ics.uci.edu"
CC_BY = "CC BY 4.0"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a file can be downloaded from.

    Attributes:
        url: http or https.
        member: the file's name in the zip archive that the address serves; None: it serves the file itself.
    """

    url: str
    member: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetFile:
    """One file of a data set.

    Attributes:
        path: below the folder of the data sets.
        sha256: of the file as the catalogue has it.
        content_sha256: of what it unpacks to, where it ends in .gz; else the same.
        size_limit_bytes: what a download may have at most, packed or not.
        origins: tried in order.
    """

    path: str
    sha256: Digest
    content_sha256: Digest
    size_limit_bytes: int
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set.

    Attributes:
        name: in the catalogue.
        title: as its authors call it.
        rows: how many, and of what.
        licence: under which its authors give it away.
        page: where it is described and published.
        citation: whom to cite.
        form: ``table``: the first file is one, with a header; ``idx``: images and labels, those to train on
            first; ``roles``: one JSON object, a list of lines for each role.
        files: which belong to it.
        columns: of a table.
        owners: columns whose values are natural owners of the rows.
        label: the column of the classes; None where there are none.
        prepared: what was done to the published files, where they are not used as they are.
        is_embedded: whether the package brings it.
    """

    name: str
    title: str
    rows: str
    licence: str
    page: str
    citation: str
    form: Literal["table", "idx", "roles"]
    files: tuple[DatasetFile, ...]
    columns: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    label: str | None = None
    prepared: str = ""
    is_embedded: bool = False


def _file(
    path: str, sha256: str, *, content: str = "", limit_mib: int, origins: tuple[Origin, ...] = ()
) -> DatasetFile:
    return DatasetFile(path, digest(sha256), digest(content or sha256), limit_mib << 20, origins)


def _mnist(name: str, sha256: str, content: str) -> DatasetFile:
    mirrors = (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    )
    origins = tuple(Origin(f"{mirror}{name}") for mirror in mirrors)
    return _file(f"mnist/{name}", sha256, content=content, limit_mib=64, origins=origins)


ORANGE_JUICE = Dataset(
    name="orange_juice",
    title="Orange Juice",
    rows="1,070 purchases in five stores",
    licence="BSD",
    page="https://pypi.org/project/ISLP/",
    citation="Stine, Foster, Waterman (1998); via James et al., An Introduction to Statistical Learning",
    form="table",
    files=(
        _file(
            "orange_juice.csv",
            "9c42d598b2222ba93bc431778d5165019eb71ae93ee6277b264e2da305fba6f7",
            limit_mib=1,
        ),
    ),
    columns=(
        *("Purchase", "WeekofPurchase", "StoreID", "PriceCH", "PriceMM", "DiscCH", "DiscMM", "SpecialCH"),
        *("SpecialMM", "LoyalCH", "SalePriceMM", "SalePriceCH", "PriceDiff", "Store7", "PctDiscMM"),
        *("PctDiscCH", "ListPriceDiff", "STORE"),
    ),
    owners=("StoreID",),
    label="Purchase",
    is_embedded=True,
)

ONLINE_SHOPPERS = Dataset(
    name="online_shoppers",
    title="Online Shoppers Purchasing Intention",
    rows="12,330 sessions in a web shop, 15.5% with a purchase",
    licence=CC_BY,
    page=f"{UCI}/dataset/468/online+shoppers+purchasing+intention+dataset",
    citation="Sakar, Kastro (2018), UCI Machine Learning Repository, doi:10.24432/C5F88Q",
    form="table",
    files=(
        _file(
            "online_shoppers_intention.csv.gz",
            "6317e6e01596174abf67ed503878d3eab1503da2963a3a81880b421e44595223",
            content="2eedec0c50ef1dbd6f93e13f64560f2dcaf03b1bf16bc2c29e81932592bbf883",
            limit_mib=8,
            origins=(
                Origin(
                    f"{UCI}/static/public/468/online+shoppers+purchasing+intention+dataset.zip",
                    "online_shoppers_intention.csv",
                ),
            ),
        ),
    ),
    columns=(
        *("Administrative", "Administrative_Duration", "Informational", "Informational_Duration"),
        *("ProductRelated", "ProductRelated_Duration", "BounceRates", "ExitRates", "PageValues"),
        *("SpecialDay", "Month", "OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType"),
        *("Weekend", "Revenue"),
    ),
    owners=("Region", "TrafficType"),
    label="Revenue",
)

SHILL_BIDDING = Dataset(
    name="shill_bidding",
    title="Shill Bidding",
    rows="6,321 bids in 807 auctions, 10.7% fraudulent",
    licence=CC_BY,
    page=f"{UCI}/dataset/562/shill+bidding+dataset",
    citation="Alzahrani, Sadaoui (2020), UCI Machine Learning Repository, doi:10.24432/C5Z611",
    form="table",
    files=(
        _file(
            "shill_bidding.csv.gz",
            "ca79d91b7d4d146f15f06188dc889fac7864b63c28c68ba6d1f89133e38ea8ef",
            content="57de8686d7ef1dca18b41b48d07dcdaf2263f4a18ac56ffee4236d185a5d29d1",
            limit_mib=4,
        ),
    ),
    columns=(
        *("Record_ID", "Auction_ID", "Bidder_Tendency", "Bidding_Ratio", "Successive_Outbidding"),
        *("Last_Bidding", "Auction_Bids", "Starting_Price_Average", "Early_Bidding", "Winning_Ratio"),
        *("Auction_Duration", "Class"),
    ),
    owners=("Auction_ID",),
    label="Class",
    prepared="the published CSV without its column Bidder_ID",
)

CREDIT_CARD_DEFAULT = Dataset(
    name="credit_card_default",
    title="Default of Credit Card Clients",
    rows="30,000 customers of a bank in Taiwan, 22.1% in default the month after",
    licence=CC_BY,
    page=f"{UCI}/dataset/350/default+of+credit+card+clients",
    citation="Yeh (2009), UCI Machine Learning Repository, doi:10.24432/C55S3H",
    form="table",
    files=(
        _file(
            "credit_card_default.csv.gz",
            "df6037e84e3847d28411001f7877c9be4a3f7767185f34f7b081c1313288dbd4",
            content="0ac7306c296df0d257a8c2ebcf61eaf1c2df2da41e3322e3c5268cb4c343322b",
            limit_mib=8,
        ),
    ),
    columns=(
        *("LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE"),
        *("PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6"),
        *(f"BILL_AMT{month}" for month in range(1, 7)),
        *(f"PAY_AMT{month}" for month in range(1, 7)),
        "class",
    ),
    owners=("EDUCATION",),
    label="class",
    prepared="the published Excel workbook as CSV, without ID, the last column called `class`",
)

ONLINE_RETAIL = Dataset(
    name="online_retail",
    title="Online Retail",
    rows="541,909 order lines of a wholesaler of gifts, 38 countries, a year",
    licence=CC_BY,
    page=f"{UCI}/dataset/352/online+retail",
    citation="Chen (2015), UCI Machine Learning Repository, doi:10.24432/C5BW33",
    form="table",
    files=(
        _file(
            "online_retail.parquet",
            "667de2aec6d8bab12d46d1cbef89238e3dd5b7bb5db2b07f1f8d35c28f014a43",
            limit_mib=64,
        ),
    ),
    columns=(
        *("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice"),
        *("CustomerID", "Country"),
    ),
    owners=("Country", "CustomerID"),
    prepared="the published Excel workbook as Parquet",
)

MNIST = Dataset(
    name="mnist",
    title="The MNIST database of handwritten digits",
    rows="60,000 digits to train on and 10,000 to test on, 28 x 28 grey values",
    licence="commonly CC BY-SA 3.0",
    page="http://yann.lecun.com/exdb/mnist/",
    citation="LeCun, Bottou, Bengio, Haffner (1998), Proceedings of the IEEE 86(11)",
    form="idx",
    files=(
        _mnist(
            "train-images-idx3-ubyte.gz",
            "0b367032e93c5d0cea0925647cfdb18614af8ee15f83e6f2fc2ad904a6835971",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        _mnist(
            "train-labels-idx1-ubyte.gz",
            "1787548bbe0bff1ec2ecdc0ef292b02df999e2d1a6002d27500982c652b17203",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        _mnist(
            "t10k-images-idx3-ubyte.gz",
            "1a1a05eab793c14bb050b398624a11b0ffd1a2953baed553b1b9bd079e2a20be",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        _mnist(
            "t10k-labels-idx1-ubyte.gz",
            "b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    label="digit",
)

SHAKESPEARE = Dataset(
    name="shakespeare",
    title="The plays of William Shakespeare by speaking role",
    rows="1,074 roles, 4.1 million characters",
    licence="public domain",
    page="https://www.gutenberg.org/ebooks/100",
    citation="The task is that of McMahan et al. (2017); the text is not LEAF's, so not number for number",
    form="roles",
    files=(
        _file(
            "shakespeare_by_role.json.zst",
            "80db0e85f4d82735de62ddd7aa444bf00a49b30684709f8419416dfcce0bf3e6",
            limit_mib=16,
        ),
    ),
    owners=("role",),
    prepared="lines gathered by play and role",
)

ALL = (ORANGE_JUICE, ONLINE_SHOPPERS, SHILL_BIDDING, CREDIT_CARD_DEFAULT, ONLINE_RETAIL, MNIST, SHAKESPEARE)
