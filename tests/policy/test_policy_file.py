"""The policy file: what ships reads, and whatever is wrong is refused with its line and its mend."""

import re
from importlib.resources import files

import pytest

from countenance.errors import PolicyError
from countenance.ledger import SigningKey
from countenance.policy import load_policy, read_policy, shipped_policy

DATA = files("countenance.policy") / "data"
DEFAULT = (DATA / "default.toml").read_text()
TEST = (DATA / "test.toml").read_text()


def refused(text: str) -> tuple[int, str]:
    with pytest.raises(PolicyError) as error:
        read_policy(text, "mine.toml")
    message = str(error.value)
    assert "\n" not in message
    found = re.match(r"mine\.toml, line (\d+): ", message)
    assert found, message
    return int(found[1]), message


def edited(text: str, old: str, new: str) -> tuple[str, int]:
    """The text with one line changed, and that line's number."""
    assert text.count(old) == 1, old
    return text.replace(old, new), text[: text.index(old)].count("\n") + 1


def test_the_shipped_policy_refuses_what_the_moratorium_is_about():
    policy = shipped_policy()
    assert policy.certificate.strangers_per_probe == 0.01
    assert policy.certificate.groups == ("gender",)
    assert not policy.certificate.synthetic
    assert policy.consent_required
    assert policy.collection_defaults is policy.key_defaults is policy.consent_defaults is None
    refused_ones = {name for name, p in policy.purposes.items() if not p.allowed}
    assert refused_ones == {"law-enforcement", "immigration-enforcement", "schools", "public-spaces"}
    assert all(policy.purposes[name].why for name in refused_ones)
    assert not policy.may("admin", "search")


def test_the_test_policy_gives_untagged_collections_a_purpose():
    policy = shipped_policy("test")
    assert policy.collection_defaults.purpose == "evaluation"
    assert policy.key_defaults.purposes == ("evaluation",)
    assert policy.consent_defaults.days == 30
    with pytest.raises(PolicyError, match="default and test"):
        shipped_policy("other")


@pytest.mark.parametrize("text", [DEFAULT, TEST], ids=["default", "test"])
def test_every_key_of_the_shipped_files_stands_on_a_line_that_says_what_it_is(text):
    """Or in default.toml, which the others point to."""
    explained = set(re.findall(r"^([a-z_]+) = .*# \S", DEFAULT + TEST, re.M)) | {"says", "allowed", "why"}
    explained |= {"reader", "operator", "auditor", "admin"}  # one comment over the table's first line
    for key in re.findall(r"^([a-z_]+) = ", text, re.M):
        assert key in explained | {"purpose", "legal_basis", "retention_days", "notice", "withdraw", "days"}, key


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("longest_days = 1095 ", "longest_day = 1095 ", "longest_days: is missing"),
        ("version = 1 ", 'version = "1" ', "version: '1' is not a whole number"),
        ("version = 1 ", "version = true ", "version: True is not a whole number"),
        ("version = 1 ", "version = 0 ", "version: 0 is out of range"),
        ("strangers_per_probe = 0.01", "strangers_per_probe = 0", "strangers_per_probe: 0 is out of range"),
        ("strangers_per_probe = 0.01", "strangers_per_probe = nan", "strangers_per_probe: nan is out of range"),
        ("required = true  ", "required = 1  ", "required: 1 is not true or false"),
        ('groups = ["gender"]', 'groups = "gender"', "groups: 'gender' is not a list"),
        ('groups = ["gender"]', 'groups = ["gender", 3]', "groups: 3 is not a text"),
        ('groups = ["gender"]', 'groups = ["gender="]', "'gender=' names no group"),
        ('groups = ["gender"]', 'groups = ["gender", "gender"]', "'gender' stands there twice"),
        ('reader = ["detect", "read", "compare", "search"]', 'reader = ["serch"]', "did you mean search?"),
        ("in_force = [] ", 'in_force = ["us-ma-bostn"] ', "did you mean us-ma-boston?"),
        ("trusted = [] ", 'trusted = ["alice"] ', "is not a public key"),
        ("reviewers = 2 ", "reviewers = 1 ", "reviewers: 1 is out of range"),
        ('format = "countenance-policy/1"', 'format = "countenance-policy/9"', "is not countenance-policy/1"),
        ('name = "shipped"', 'name = " "', "name: is empty"),
    ],
)
def test_an_unknown_key_or_a_bad_value_is_refused_with_its_line(old, new, says):
    text, line = edited(DEFAULT, old, new)
    at, message = refused(text)
    assert says in message
    if "missing" not in says:  # a missing key is shown at its table, wherever the reader stands
        assert at == line, message


def test_an_unknown_key_is_refused_with_what_was_meant():
    text, line = edited(DEFAULT, "reviewers = 2 ", "reviewers = 2\nreviewrs = 2 ")
    at, message = refused(text)
    assert at == line + 1
    assert "review.reviewrs: is not a key that is known here; did you mean reviewers?" in message
    at, message = refused(DEFAULT + "\n[colour]\nred = 1\n")
    assert "colour: is not a key" in message
    assert at == DEFAULT.count("\n") + 2


def test_a_missing_table_and_a_table_that_is_none_are_refused():
    text = DEFAULT.replace("[law]\nin_force", "[law_]\nin_force")
    assert "law: is missing" in refused(text)[1]
    assert "not a table" in refused('law = 3\nformat = "countenance-policy/1"\n[purposes]\n[consent]\n[review]\n')[1]


def test_a_line_that_is_not_toml_is_named():
    text, line = edited(DEFAULT, "version = 1 ", "version = = 1 ")
    at, message = refused(text)
    assert at == line
    assert "not TOML" in message
    unfinished = 'name = """never closed'
    assert refused(unfinished)[0] == 1


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("self_issued = true ", "self_issued = false ", "no certificate could hold"),
        ("purposes = []  ", 'purposes = ["schools"]  ', "nothing to review"),
        ("in_force = []  ", 'in_force = ["us-ny-schools"]  ', None),
    ],
)
def test_rules_that_contradict_each_other_are_refused(old, new, says):
    text, line = edited(DEFAULT, old, new)
    if says is None:  # the shipped policy refuses schools anyway, so the two agree
        assert read_policy(text).law[0].id == "us-ny-schools"
        return
    at, message = refused(text)
    assert says in message
    assert at == line


def test_a_purpose_allowed_against_a_law_that_is_switched_on_is_refused():
    text, _ = edited(DEFAULT, "in_force = []  ", 'in_force = ["us-or-portland"]  ')
    old = 'allowed = false\nwhy = "nobody who passes by has agreed, and nobody can go another way"'
    text, line = edited(text, old, 'allowed = true\nlegal_bases = ["consent"]\nlongest_retention_days = 3')
    at, message = refused(text)
    assert at == line
    assert "Portland, Oregon refuses it to all" in message


def test_a_refused_purpose_has_no_bases_and_an_allowed_one_no_excuse():
    text, line = edited(
        DEFAULT, 'why = "a false match ends in an arrest', 'legal_bases = ["consent"]\nwhy = "a false match'
    )
    at, message = refused(text)
    assert (at, "contradicts allowed = false" in message) == (line, True)
    text, line = edited(DEFAULT, "longest_retention_days = 90", 'longest_retention_days = 90\nwhy = "because"')
    at, message = refused(text)
    assert (at, "this one is allowed" in message) == (line + 1, True)
    text, line = edited(DEFAULT, 'legal_bases = ["consent", "explicit-consent", "contract"]', "legal_bases = []")
    assert refused(text)[0] == line


def test_reviews_need_somebody_who_may_review():
    text, line = edited(DEFAULT, "purposes = []  ", 'purposes = ["access"]  ')
    assert read_policy(text).review_purposes == {"access"}
    text = text.replace('"collections", "review", "forget"]', '"collections", "forget"]')
    at, message = refused(text)
    assert (at, "no role may review" in message) == (line, True)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('purpose = "evaluation"', 'purpose = "schools"', "is refused by this policy"),
        ('purpose = "evaluation"', 'purpose = "evaluate"', "did you mean evaluation?"),
        ('purposes = ["evaluation"]', 'purposes = ["schools"]', "is refused by this policy"),
        ('actor = "private" ', 'actor = "me" ', "is none of"),
        ("retention_days = 30\n\n[defaults.key]", "retention_days = 31\n\n[defaults.key]", "31 days"),
        ('legal_basis = "consent"\n', 'legal_basis = "contract"\n', "is none of consent"),
        ("\ndays = 30", "\ndays = 31", "consent.longest_days is 30"),
    ],
)
def test_defaults_must_be_allowed_by_the_policy_itself(old, new, says):
    text, line = edited(TEST, old, new)
    at, message = refused(text)
    assert says in message
    assert at == line + new.startswith("\n")


def test_keys_of_signers_are_read(key):
    other = SigningKey("other/signer", b"7" * 32)
    text, _ = edited(DEFAULT, "trusted = []  ", f'trusted = ["{other.verifying}"]  ')
    assert read_policy(text).certificate.trusted == (other.verifying,)


def test_the_digest_is_of_what_is_said_not_of_how():
    plain = shipped_policy()
    assert read_policy("# a comment\n" + DEFAULT).digest == plain.digest
    text, _ = edited(DEFAULT, "strangers_per_probe = 0.01", "strangers_per_probe = 0.02")
    assert read_policy(text).digest != plain.digest


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(PolicyError, match="save it as UTF-8"):
        load_policy(tmp_path / "latin.toml")
    (tmp_path / "mine.toml").write_text("\ufeff" + DEFAULT)
    assert load_policy(tmp_path / "mine.toml").digest == shipped_policy().digest
