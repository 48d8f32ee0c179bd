"""The sizes of the chunk tree's parts, bytes, and the names that compiled code calls hashing by."""

CHUNK_BYTES = 4096
HASH_BYTES = 32
PIECE_BYTES = 64  # of what compiled hashing takes a whole number of: SHA-256's block, and two hashes
HASHING_SYMBOL = "fl_chain_hash_pieces"
OPENSSL_FUNCTIONS = ("SHA256_Init", "SHA256_Update", "SHA256_Final")  # what that calls where it must
