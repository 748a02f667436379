"""Are two names one person's? A proposal for a person to judge, never a decision.

Equal strings miss people: Tommy Tuberville is ``Tommy_Tubberville`` in Labeled Faces in the Wild, Linda Sánchez is
``Linda_Sanchez``, Robert Menendez ``Bob_Menendez``. Names are compared without accents, case, punctuation, spaces,
titles and suffixes; a given name equals its nicknames; one wrong letter in a longer part is forgiven.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

_DROPPED = frozenset(
    ["jr", "sr", "ii", "iii", "iv", "dr", "mr", "mrs", "ms", "sir", "dame", "sen", "rep", "hon", "prof"]
)
_TYPO_FROM = 5  # letters; in shorter parts one letter is the difference between two people (Rice, Price)
_UNDECOMPOSED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ß": "ss", "æ": "ae", "œ": "oe", "ı": "i", "þ": "th", "ð": "d"}
)

# Each line: one given name and what its bearers are called. A short form may stand in several lines.
_FORMS = """
abigail abby gail|abraham abe|albert al bert|alexander alex al sandy|alexandra alex sandra sandy|alfred al fred|
andrew andy drew|anthony tony|antonio tony|arthur art|barbara barb babs|benjamin ben benny|bernard bernie|
bradley brad|catherine cathy kate katie cate|katherine kathy kate katie kay|charles charlie chuck chuy|
christopher chris kit|christine chris chrissy tina|christina chris tina|clifford cliff|daniel dan danny|
david dave davey|deborah deb debbie|debra deb debbie|dennis denny|donald don donnie|dorothy dot dottie|
douglas doug|edward ed eddie ted ned|edmund ed eddie|edwin ed eddie|eleanor ellie nell nora|
elizabeth liz beth betty lisa eliza libby|eugene gene|florence flo|frances fran|francis frank|francisco frank paco|
franklin frank|frederick fred freddie rick|gabriel gabe|geoffrey geoff jeff|gerald jerry gerry|gilbert gil|
gregory greg|harold hal harry|henry hank harry|herbert herb bert|isaac ike|jacob jake|jacqueline jackie|
james jim jimmy jamie|jeffrey jeff|jennifer jen jenny|jeremiah jerry|jerome jerry|jesus chuy|john jack johnny jon|
jonathan jon|joseph joe joey|josephine jo josie|joshua josh|judith judy|kenneth ken kenny|kimberly kim|
lawrence larry|leonard len leo|leroy roy|louis lou|louise lou|lucille lucy lou|margaret peggy maggie meg marge|
martha marty|martin marty|matthew matt|maurice moe|michael mike mick mickey|michelle shelly|mitchell mitch|
nancy nan|nathan nate|nathaniel nate nat|nicholas nick|norman norm|pamela pam|patricia pat patty tricia|
patrick pat|peter pete|philip phil|phillip phil|ralph ralphie|randall randy|randolph randy|raymond ray|
rebecca becky|reginald reggie|richard dick rick ricky rich|robert bob bobby rob robbie bert|roberto bob|rodney rod|
ronald ron ronnie|russell russ|samuel sam sammy|samantha sam|sandra sandy|sidney sid|solomon sol|stanley stan|
stephen steve|steven steve|stephanie steph|susan sue susie|suzanne sue|teresa terry tess|theresa terry|
terence terry|theodore ted teddy theo|thomas tom tommy|timothy tim|valerie val|victor vic|victoria vicky tori|
vincent vince vinny|virginia ginny|walter walt wally|wendell wendy|william bill billy will willie liam|
zachary zach
"""


def _nicknames() -> dict[str, frozenset[int]]:
    lines = defaultdict(set)
    for number, line in enumerate(_FORMS.replace("\n", "").split("|")):
        for name in line.split():
            lines[name].add(number)
    return {name: frozenset(numbers) for name, numbers in lines.items()}


_LINES = _nicknames()


@dataclass(frozen=True)
class SuspectedSame:
    """``probe`` and ``gallery`` number the names of the two lists; ``exact`` when only marks and spaces differ."""

    probe: int
    gallery: int
    exact: bool


@lru_cache(maxsize=65_536)
def name_parts(name: str) -> tuple[str, ...]:
    """The parts of a name, given name first: lower case, without accents, punctuation, titles and suffixes."""
    text = unicodedata.normalize("NFKD", name.casefold()).translate(_UNDECOMPOSED)
    text = "".join(c for c in text if not unicodedata.combining(c))
    last, comma, rest = text.partition(",")
    if comma and set(re.findall(r"\w+", rest)) - _DROPPED:
        text = f"{rest} {last}"  # "Menendez, Robert"
    text = re.sub(r"['’`.]", "", text)
    parts = [p for p in re.split(r"[\W_\d]+", text) if p]
    return tuple(p for p in parts if p not in _DROPPED) or tuple(parts)


def same_name(a: str, b: str) -> bool:
    """Whether the two names could well be one person's.

    The last parts must agree and so must the first, each up to one letter in parts of five letters or more, the first
    also up to nicknames; middle names must not contradict each other (George W. and George H. W. Bush).
    """
    one, two = name_parts(a), name_parts(b)
    if not one or not two:
        return False
    if "".join(one) == "".join(two):
        return True
    if len(one) == 1 or len(two) == 1:
        return len(one) == len(two) and _alike(one[0], two[0])
    return _alike(one[-1], two[-1]) and _same_given(one[0], two[0]) and _middles_agree(one[1:-1], two[1:-1])


def suspected_same_people(probes: Sequence[str], gallery: Sequence[str]) -> list[SuspectedSame]:
    """Pairs of a probe's and a gallery's name that could be one person's, in order of probe and gallery.

    The gallery is indexed by its last names with one letter left out, so that the time is linear in the two lists.
    """
    index: dict[str, set[int]] = defaultdict(set)
    for number, name in enumerate(gallery):
        for key in _keys(name):
            index[key].add(number)
    found = []
    for probe, name in enumerate(probes):
        near: set[int] = set().union(*(index.get(key, ()) for key in _keys(name)))
        for number in sorted(near):
            if same_name(name, gallery[number]):
                exact = "".join(name_parts(name)) == "".join(name_parts(gallery[number]))
                found.append(SuspectedSame(probe, number, exact))
    return found


def _keys(name: str) -> Iterator[str]:
    parts = name_parts(name)
    if parts:
        yield "=" + "".join(parts)
        yield parts[-1]
        yield from _one_left_out(parts[-1])


def _one_left_out(word: str) -> Iterable[str]:
    return (word[:k] + word[k + 1 :] for k in range(len(word))) if len(word) >= _TYPO_FROM else ()


def _alike(a: str, b: str) -> bool:
    """Equal; or, from five letters on, one letter added, left out, replaced or swapped with its neighbour."""
    if a == b:
        return True
    short, long = sorted((a, b), key=len)
    if len(short) < _TYPO_FROM or len(long) - len(short) > 1:
        return False
    k = next((k for k, (x, y) in enumerate(zip(short, long, strict=False)) if x != y), len(short))
    if len(short) < len(long):
        return short[k:] == long[k + 1 :]
    swapped = short[k : k + 2] == long[k : k + 2][::-1] and short[k + 2 :] == long[k + 2 :]
    return swapped or short[k + 1 :] == long[k + 1 :]


def _same_given(a: str, b: str) -> bool:
    if len(a) == 1 or len(b) == 1:
        return a[0] == b[0]
    return _alike(a, b) or bool(_LINES.get(a, frozenset()) & _LINES.get(b, frozenset()))


def _middles_agree(a: Sequence[str], b: Sequence[str]) -> bool:
    if not a or not b:
        return True
    return len(a) == len(b) and all(_same_given(x, y) for x, y in zip(a, b, strict=True))
