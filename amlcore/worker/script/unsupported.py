"""What Azure ML's v1 Run has and the one of a script has not: what serves instead."""

_TABLE = "log_table(name, columns) records it as a table"
_OUTSIDE = "outside of its script, `from amlcore import Run` has it, where amlcore is installed"
UNSUPPORTED = {
    "log_accuracy_table": _TABLE,
    "log_predictions": _TABLE,
    "log_residuals": _TABLE,
    "submit_child": "child_run() begins a child that the script itself carries out",
    "upload_files": "upload_file(name, path) keeps one, upload_folder(name, path) all of a folder",
    "cancel": _OUTSIDE,
    "download_file": _OUTSIDE,
    "download_files": _OUTSIDE,
    "get_details": _OUTSIDE,
    "get_file_names": _OUTSIDE,
    "wait_for_completion": _OUTSIDE,
}
