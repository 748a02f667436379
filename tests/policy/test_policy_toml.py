"""Lines of keys, for every way in which TOML lets one be written."""

from countenance.policy.toml import Document

TEXT = '''# a comment
a = 1
b = [
  "x",   # b.c = 3 stands here in a comment
  "y",
]

long = """
d = 4
"""
[e]
f.g = 1
h = { i = 1, j = 2 }
[e."k l"]
m = 1

[["n"]]
o = 1
'''


def test_every_key_has_its_line():
    document = Document.read("t", TEXT)
    wanted = {("a",): 2, ("b",): 3, ("long",): 8, ("e",): 11, ("e", "f", "g"): 12, ("e", "h", "j"): 13}
    wanted |= {("e", "k l"): 14, ("e", "k l", "m"): 15, ("n",): 17}
    assert {path: document.line(*path) for path in wanted} == wanted


def test_a_key_that_is_not_there_has_its_tables_line():
    document = Document.read("t", TEXT)
    assert document.line("e", "nothing") == 11
    assert document.line("nothing") == 1
    assert Document.read("t", "").line("nothing") == 1
