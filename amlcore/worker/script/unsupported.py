"""The methods of Azure ML's v1 Run that a script's Run lacks, and what to use instead."""

_TABLE = "use log_table(name, columns)"
_OUTSIDE = "outside the script, Run of `from amlcore import Run` has it, if amlcore is installed"
UNSUPPORTED = {
    "log_accuracy_table": _TABLE,
    "log_predictions": _TABLE,
    "log_residuals": _TABLE,
    "submit_child": "child_run() starts a child that the script itself carries out",
    "upload_files": "use upload_file(name, path), or upload_folder(name, path) for a folder",
    "cancel": _OUTSIDE,
    "download_file": _OUTSIDE,
    "download_files": _OUTSIDE,
    "get_details": _OUTSIDE,
    "get_file_names": _OUTSIDE,
    "wait_for_completion": _OUTSIDE,
}
