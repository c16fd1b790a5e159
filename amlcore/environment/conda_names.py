"""Conda package names that differ from the Python package index."""

import re
from functools import cache
from pathlib import Path


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Conda's name: the index's name. These take precedence over conda_forge.txt.
_RENAMED = {
    "cmake": "cmake",  # the same program, as wheels
    "dask-core": "dask",
    "faiss-cpu": "faiss-cpu",
    "keras-gpu": "keras",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "ninja": "ninja",
    "numpy-base": "numpy",
    "opencv": "opencv-python",
    "py-opencv": "opencv-python",
    "py-spy": "py-spy",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "py-xgboost-gpu": "xgboost",
    "pyqt": "pyqt5",
    "pytables": "tables",
    "python-graphviz": "graphviz",
    "python-lmdb": "lmdb",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "ruamel_yaml": "ruamel.yaml",
    "ruff": "ruff",
    "seaborn-base": "seaborn",
    "tensorflow-base": "tensorflow",
    "tensorflow-cpu": "tensorflow-cpu",
    "tensorflow-gpu": "tensorflow",
    "tzdata": "tzdata",
    "uv": "uv",
}

# Libraries that Python and the index's wheels bundle, and conda's switches between builds of a package.
_BUNDLED = _names(
    """
    _anaconda_depends _libgcc_mutex _openmp_mutex _py-xgboost-mutex _sysroot_linux-64_curr_repodata_hack _tflow_select
    abseil-cpp alsa-lib aom arrow-cpp atk atk-1.0 at-spi2-atk at-spi2-core backports blas blosc boost-cpp brotli
    brotli-bin brunsli bzip2 c-ares c-blosc2 ca-certificates cairo cfitsio charls cpuonly cyrus-sasl dav1d dbus
    double-conversion eigen elfutils expat fftw flatbuffers fmt font-ttf-dejavu-sans-mono fontconfig fonts-anaconda
    fonts-conda-ecosystem fonts-conda-forge freetype fribidi gdk-pixbuf geos gettext gflags giflib glib glib-tools glog
    gmp graphite2 grpc-cpp gsl gst-plugins-base gstreamer gtest gtk2 gtk3 harfbuzz hdf4 hicolor-icon-theme icu imath
    isa-l jansson jpeg jxrlib kernel-headers_linux-64 keyutils krb5 lame lcms2 ld_impl_linux-64 ld_impl_linux-aarch64
    lerc llvm-openmp lz4-c lzo mpc mpfr mpg123 mysql-common mysql-libs ncurses nettle nlohmann_json nomkl nspr nss
    openblas openexr openh264 openjpeg openldap openssl orc p11-kit pango parquet-cpp pcre pcre2 pixman poppler-data
    portaudio proj pthread-stubs pybind11-abi python_abi pytorch-mutex qhull qt qt-main qt-webengine qt6-main rav1e re2
    readline s2n sleef snappy spdlog sqlite svt-av1 sysroot_linux-64 thrift-cpp tk tktable tzcode uriparser utf8proc
    utfcpp wayland x264 x265 xerces-c xxhash xz xz-gpl-tools xz-tools yaml yaml-cpp zeromq zfp zlib zlib-ng zstd
    libxgboost vc
    """
)
_BUNDLED_FAMILIES = (
    *("aws-c-", "aws-checksums", "font-ttf-", "fonts-", "gst-", "m2-", "m2w64-", "ucrt", "vc14", "vs2015", "vs2022"),
    *("xcb-", "xorg-"),
)

# In an export of all that conda installed, these come with conda's own builds; wheels do without them.
_OF_CONDAS_BUILDS = _names(
    """
    blas-devel hdf5 intel-openmp libopencv libtorch mkl mkl-devel mkl-include mkl_fft mkl-fft mkl_random mkl-random
    mkl-service tbb tbb-devel unixodbc
    """
)


# Not Python packages, or the index has another package by that name: the script would fail later.
_REFUSED = _names(
    """
    anaconda blas-devel boost c-compiler clang clangxx compilers conda conda-build cuda cuda-toolkit cudatoolkit cudnn
    cxx-compiler ffmpeg fortran-compiler gcc gdal git gfortran gxx hdf5 intel-openmp java-jdk java-jre jdk julia
    libopencv libtorch make mamba maven mkl mkl-devel mpi mpich nccl ninja-base nodejs openjdk openmpi perl postgresql
    pytorch-cuda r redis rust swig tbb unixodbc
    bcftools bedtools blast bowtie2 bwa fastqc minimap2 samtools star subread
    """
)
_REFUSED_FAMILIES = ("r-", "cuda-", "gcc_", "gxx_", "perl-", "ros-", "rb-", "go-", "terraform-", "bioconductor-")
_CROSS = re.compile(r"-(cos\d|conda|el\d|amzn\d+)-|_(linux|osx|win)-\d|_(linux|osx)-[a-z]")


def index_name(name: str) -> str | None:
    """The Python package index's name of conda's package `name`; None if it is not a Python package."""
    if name in _RENAMED:
        return _RENAMED[name]
    if name in _REFUSED or name.startswith(_REFUSED_FAMILIES) or _CROSS.search(name):
        return None
    from packaging.utils import canonicalize_name

    return _conda_forge().get(canonicalize_name(name), name)


def is_bundled(name: str, *, exported: bool) -> bool:
    """Whether conda's package is a library that wheels bundle.

    Parameters
    ----------
    exported : bool
        Whether it comes from a list of all that conda installed, with build strings.
    """
    if name in _BUNDLED or name.startswith(_BUNDLED_FAMILIES) or (exported and name in _OF_CONDAS_BUILDS):
        return True
    is_library = name.startswith("lib") or "-cpp" in name
    return is_library and name not in _REFUSED and index_name(name) is None


@cache
def _conda_forge() -> dict[str, str | None]:
    text = Path(__file__).with_name("conda_forge.txt").read_text(encoding="utf-8")
    pairs = (line.partition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: other or None for name, _, other in pairs}
