"""The environment decides where data lies; without it the user's own data folder is used."""

from pathlib import Path

from facts.settings import settings


def test_without_settings_the_data_lies_in_the_users_folder():
    found = settings({"HOME": "/home/ada"})
    assert found.data_dir == Path("/home/ada/.local/share/rightsize")
    assert found.database_url == "sqlite:////home/ada/.local/share/rightsize/rightsize.sqlite3"
    assert found.intake_token is None
    assert found.allowed_endpoints == ("127.0.0.1", "localhost", "::1")


def test_xdg_data_home_is_kept():
    assert settings({"HOME": "/home/ada", "XDG_DATA_HOME": "/data"}).data_dir == Path("/data/rightsize")


def test_the_environment_goes_before_the_defaults():
    found = settings(
        {
            "RIGHTSIZE_DATA_DIR": "/srv/rightsize",
            "DATABASE_URL": "postgresql://user:secret@db/rightsize",
            "RIGHTSIZE_INTAKE_TOKEN": " token ",
            "RIGHTSIZE_ALLOWED_ENDPOINTS": "10.0.0.7, gpu-1 ,",
        }
    )
    assert found.data_dir == Path("/srv/rightsize")
    assert found.probe_build_state == Path("/srv/rightsize/probe-build.json")
    assert found.models_dir == Path("/srv/rightsize/models")
    assert found.database_url == "postgresql://user:secret@db/rightsize"
    assert found.intake_token is not None
    assert found.intake_token.get_secret_value() == "token"
    assert found.allowed_endpoints == ("10.0.0.7", "gpu-1")


def test_an_empty_token_is_no_token():
    assert settings({"HOME": "/h", "RIGHTSIZE_INTAKE_TOKEN": "  "}).intake_token is None


def test_the_token_is_not_in_what_is_printed():
    assert "hunter2" not in repr(settings({"HOME": "/h", "RIGHTSIZE_INTAKE_TOKEN": "hunter2"}))
