"""Crashes: assertions of the modules that check are told in full, as those of tests are."""

import pytest

pytest.register_assert_rewrite("tests.faults.checks", "tests.faults.crashes")
