from pathlib import Path


def test_version() -> None:
    import countenance

    assert countenance.__version__


def test_no_line_of_the_audit_is_excused_from_coverage() -> None:
    import countenance.audit

    for source in Path(countenance.audit.__file__).parent.rglob("*.py"):
        assert "pragma: no" not in source.read_text(), source.name
