"""A settings file: a settings object whose every value can be used, or an error that names the place."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from scratch import scratch

from fl_chain.commitment.canonical import document_hash
from fl_chain.config import load_settings, parse_settings
from fl_chain.errors import ConfigError
from fl_chain.policy import parse_policy_document, policy_document, run_policy

COVERS = ("fl_chain.config", "fl_chain.policy")

TEMPLATE = Path(__file__).parents[3] / "fl_chain" / "cli" / "template.toml"


@cache
def settings_file() -> Path:
    return scratch() / "fl_chain.toml"


def fuzz(data: bytes) -> None:
    path = settings_file()
    path.write_bytes(data)
    try:
        settings = load_settings(path)
    except ConfigError:
        return
    assert parse_settings(path.read_text(encoding="utf-8"), origin="text").run == settings.run
    try:
        policy = run_policy(settings.run)
        document = policy_document(policy)
    except ConfigError:
        return
    again = parse_policy_document(document, document_hash(document))
    assert again == policy


def seeds() -> list[bytes]:
    template = TEMPLATE.read_bytes()
    lines = [line for line in template.split(b"\n") if line.strip() and not line.lstrip().startswith(b"#")]
    return [
        b"\n".join(lines),
        b'[run.task]\nkind="table"\nlabel="y"\npositive="1"\n[run.policy]\nclip=0.5\n[run.training]\nlearning_rate=1e-3',
        b"[[chain]]\n" + b"x=[" * 30,
        b"[chain]\nchain_id=" + b"1" * 30,
        b"[store]\nurls=['a','memory://b']\n[worker]\ndata='d.csv'\nstate='s'",
        b"[run.task]\nkind='file'\npath='x.py'",
    ]
