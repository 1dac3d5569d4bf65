"""Writes what the training sends and fetches into the working directory: text as people write it, the same each time."""

import json
import os
import random

WORDS = """a the of and to in is that for it on with as was be by at this have from or one had not but what all were
when we there can an your which their said if do will each about how up out them then she many some so these would
other into has more her two like him see time could no make than first been its who now people my made over did down
only way find use may water long little very after words called just where most know request answer server proxy
customer order price delivery street account password invoice meeting report review""".split()

say = random.Random(1)


def text(words):
    out, sentence = [], 0
    for _ in range(words):
        word = say.choice(WORDS)
        out.append(word if sentence else word.capitalize())
        sentence += 1
        if sentence > 6 and say.random() < 0.2:
            out[-1] += say.choice([".", ".", ".", "?", ";", ","])
            sentence = 0
    return " ".join(out)


def order(number):
    return {
        "id": number,
        "name": text(2),
        "tags": [say.choice(WORDS) for _ in range(3)],
        "note": text(30),
        "price": round(say.random() * 100, 2),
        "open": say.random() < 0.5,
        "url": f"https://shop.example/orders/{number}?ref=mail&page={number % 7}",
    }


os.makedirs("www/text", exist_ok=True)
for name, size in [("1k", 1 << 10), ("100k", 100 << 10), ("1m", 1 << 20)]:
    with open(f"www/{name}", "w") as file:
        file.write(text(size // 4)[:size])
with open("www/text/page.html", "w") as file:
    file.write("<html><body>" + "".join(f"<p class='n{n}'>{text(60)}</p>\n" for n in range(80)) + "</body></html>")

FORM = "&".join(f"{say.choice(WORDS)}={text(4).replace(' ', '+').replace('?', '%3F')}" for _ in range(12))
PARTS = "".join(
    f'--part\r\nContent-Disposition: form-data; name="{say.choice(WORDS)}"\r\n\r\n{text(40)}\r\n' for _ in range(8)
)
for name, kind, content in [
    ("json", "application/json", json.dumps([order(n) for n in range(30)])),
    ("form", "application/x-www-form-urlencoded", FORM),
    ("parts", "multipart/form-data; boundary=part", PARTS + "--part--\r\n"),
    ("xml", "application/xml", "<orders>" + "".join(f"<order no='{n}'><note>{text(20)}</note></order>" for n in range(40)) + "</orders>"),
    ("plain", "text/plain; charset=utf-8", text(600)),
]:
    with open(f"{name}.lua", "w") as file:
        file.write(f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "{kind}"\nwrk.body = [=====[{content}]=====]\n')
with open("absolute.lua", "w") as file:
    file.write('request = function() return wrk.format("GET", "http://127.0.0.1:19400/1k") end\n')

