"""What one compilation of headers may take. Xen's own need a twentieth of each or less."""

# Processor time of one compilation, in seconds. On a busy machine Xen's own passed 0.8 once.
SECONDS = 2
# Memory that the parsing process may write to, in bytes; libclang itself takes 20 MiB.
MEMORY = 128 << 20
# Bytes of all headers together.
TEXT = 4 << 20
# Fields of all structs together, each struct counted once.
FIELDS = 4096
# Fields of one record with those of the structs in it, however often one struct contains another.
LEAVES = 16384
# Bytes of an answer.
ANSWER = 16 << 20
