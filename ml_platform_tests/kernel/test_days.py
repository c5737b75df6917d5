"""Times of day are read as people and YAML write them; a time zone has to be one."""

from zoneinfo import ZoneInfo

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from ml_platform.kernel.days import WEEKDAYS, TimeOfDay, Weekday, zone
from ml_platform.kernel.errors import DeclarationError

READ = TypeAdapter(TimeOfDay)


@pytest.mark.parametrize(
    ("text", "read"),
    [("06:30", "06:30"), ("'22:00'", "22:00"), ("22:00", "22:00"), ("10:05", "10:05")],
)
def test_a_time_of_day_is_read_with_and_without_quotes(text, read):
    assert READ.validate_python(yaml.safe_load(text)) == read


@pytest.mark.parametrize("value", ["24:00", "8:30", "08:60", "noon", "", 1440, -1, 8.5, None])
def test_what_is_no_time_of_day_is_refused_with_how_to_write_one(value):
    with pytest.raises(ValidationError, match="no time of day; write it like 08:30"):
        READ.validate_python(value)


def test_the_week_begins_on_a_monday_as_dates_count_it():
    assert (WEEKDAYS[0], len(WEEKDAYS)) == ("monday", 7)
    assert TypeAdapter(Weekday).validate_python("sunday") == WEEKDAYS[6]


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc", "Europe"])
def test_a_time_zone_that_does_not_exist_is_refused(name):
    with pytest.raises(DeclarationError, match="there is none of this name"):
        zone(name)
    assert zone("Asia/Seoul") == ZoneInfo("Asia/Seoul")
