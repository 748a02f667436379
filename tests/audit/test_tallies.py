"""The file of tallies: what goes in comes out, what was tampered with is refused."""

import numpy as np
from hypothesis import given, settings
from test_sweep import asked, template_sets

from countenance.audit.sweep import tally
from countenance.audit.tallyfile import load_tallies, save_tallies


def same(a, b, path=""):
    if hasattr(a, "__dataclass_fields__"):
        for f in a.__dataclass_fields__:
            same(getattr(a, f), getattr(b, f), f"{path}.{f}")
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, path
        np.testing.assert_array_equal(a, b, err_msg=path)
    else:
        assert a == b, path


@settings(max_examples=30, deadline=None)
@given(template_sets(), asked)
def test_what_is_saved_with_names_is_loaded_again(tmp_path_factory, templates, thresholds):
    found = tally(templates, thresholds=thresholds)
    path = tmp_path_factory.mktemp("t") / "a.tallies"
    save_tallies(found, path, names=True)
    first = path.read_bytes()
    same(found, load_tallies(path))
    save_tallies(load_tallies(path), path, names=True)
    assert path.read_bytes() == first
    save_tallies(found, path)
    assert load_tallies(path).names is None
