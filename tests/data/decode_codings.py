"""Asks a server for everything that it has in each coding, decodes it with Python's own modules, and
compares it with what comes uncompressed.

    decode_codings.py URL COUNT
"""

import base64
import gzip
import hashlib
import sys
import urllib.error
import urllib.request

import brotli
import zstandard

MAGIC_DCZ = bytes([0x5E, 0x2A, 0x4D, 0x18, 0x20, 0, 0, 0])


def ask(path, **fields):
    request = urllib.request.Request(sys.argv[1] + path)
    for name, value in fields.items():
        request.add_header(name.replace("_", "-"), value)
    with opener.open(request, timeout=60) as response:
        return response.headers.get("Content-Encoding"), response.read()


def decode(coding, content, dictionary=None):
    if coding is None:
        return content
    if coding == "gzip":
        return gzip.decompress(content)
    if coding == "br":
        return brotli.decompress(content)
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(content)
    if coding == "dcz":
        expected = MAGIC_DCZ + hashlib.sha256(dictionary).digest()
        assert content[:40] == expected, content[:40]
        raw = zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        return zstandard.ZstdDecompressor(dict_data=raw).decompressobj().decompress(content[40:])
    raise ValueError(coding)


opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
compressed = 0
for number in range(int(sys.argv[2])):
    path = f"/{number}"
    _, plain = ask(path, Accept_Encoding="identity")
    for wanted in ("gzip", "br", "zstd"):
        coding, content = ask(path, Accept_Encoding=wanted)
        assert coding in (None, wanted), coding
        assert decode(coding, content) == plain, (path, wanted)
        compressed += coding is not None

# The first version is offered as a dictionary, the second one is asked for with it.
_, old = ask("/app.1.js", Accept_Encoding="gzip;q=0, identity")
_, new = ask("/app.2.js", Accept_Encoding="identity")
_, whole = ask("/app.2.js", Accept_Encoding="zstd")
available = ":" + base64.b64encode(hashlib.sha256(old).digest()).decode() + ":"
coding, changed = ask("/app.2.js", Accept_Encoding="zstd, dcz", Available_Dictionary=available)
assert coding == "dcz", coding
assert decode(coding, changed, old) == new
assert len(changed) * 10 < len(whole), (len(changed), len(whole))
print(compressed, len(new), len(whole), len(changed))
