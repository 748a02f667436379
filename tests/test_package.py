def test_version() -> None:
    import countenance

    assert countenance.__version__
