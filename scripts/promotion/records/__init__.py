"""The frozen records that pass from verb to verb."""

from promotion.records.evaluation import *  # noqa: F403
