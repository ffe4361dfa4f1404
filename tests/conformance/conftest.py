"""Every test here runs with every driver."""

import pytest
from channels import FACTORIES, Factory


@pytest.fixture(params=sorted(FACTORIES))
def driver(request: pytest.FixtureRequest) -> Factory:
    return FACTORIES[request.param]
