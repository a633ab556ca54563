"""The frozen records that pass from verb to verb."""
