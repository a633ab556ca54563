"""The process that runs model code, and the artifact that it makes."""
