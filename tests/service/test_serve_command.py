import pytest
from test_cli import ssldm as command


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((), "expected one of --config, --watch and --demo"),
        (("--demo", "--watch", "radar"), "expected one of --config, --watch and --demo"),
        (("--demo", "--store", "here"), "expected --store with --watch alone"),
        (("--config", "service.yaml", "--members", "8"), "expected --members with --watch alone"),
        (("--config", "service.yaml"), "service.yaml: expected a service in YAML"),
        (("--demo", "--log-level", "loud"), "log level"),
        (("--watch", "radar", "--budget", "soon"), "budget: expected a duration such as 120s"),
        (("--watch", "radar", "--replay", "long ago"), "expected a time like"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(given, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command("serve", *given)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
