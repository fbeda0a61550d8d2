"""The checks under other arithmetic than that of this machine:  python .ci/elsewhere.py [PYTEST ARGUMENT ...]

Each setting takes away what this processor has and others have not, and changes what no result may depend on:
threads, locale, time zone, hash seed.  A process of its own says first what took effect, and what did not is named;
oneDNN and MKL cannot be asked.  Then the fast unit tests run, and the notebooks against their stored outputs;
arguments replace both.  Exit status 1 if one fails.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

TOP = Path(__file__).parent.parent
NOTEBOOKS = sorted(str(path.relative_to(TOP)) for path in TOP.glob("notebooks/*.ipynb"))
CHECKS = ["-m", "not slow", "--doctest-modules", "tests", "pe_lib"]
CHECKS += ["--nbval", "--nbval-current-env", "--nbval-cell-timeout", "3600", *NOTEBOOKS]

# What a new process says of its arithmetic and its surroundings.
ASK = """
import ctypes, glob, json, locale, os, time
import numpy, torch

def blas():
    libraries = glob.glob(os.path.dirname(numpy.__file__) + ".libs/*openblas*")
    if not libraries:
        return "unknown"
    name = ctypes.CDLL(libraries[0]).scipy_openblas_get_corename64_
    name.restype = ctypes.c_char_p
    return name().decode()

print(json.dumps({
    "NumPy's dispatch": " ".join(numpy.show_config("dicts")["SIMD Extensions"].get("found", [])) or "baseline",
    "NumPy's BLAS": blas(),
    "PyTorch": torch.backends.cpu.get_cpu_capability(),
    "threads": torch.get_num_threads(),
    "locale": locale.setlocale(locale.LC_ALL, ""),
    "decimal point": locale.localeconv()["decimal_point"],
    "time zone": time.tzname[0],
    "hash of a text": hash("position"),
}))
"""


def settings() -> dict[str, dict[str, str]]:
    """Environment variables, by what they make of this processor: one step down, and all steps down."""
    found = np.show_config("dicts")["SIMD Extensions"].get("found", [])
    newest = [feature for feature in found if "512" in feature or feature == "X86_V4"]
    one_step = {
        "NPY_DISABLE_CPU_FEATURES": " ".join(newest),
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OMP_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",  # PyTorch takes it before that of OpenMP
        "OPENBLAS_NUM_THREADS": "2",
        "LC_ALL": "C",
        "TZ": "Asia/Kathmandu",
        "PYTHONHASHSEED": "1",
    }
    all_steps = {
        "NPY_DISABLE_CPU_FEATURES": " ".join(found),
        "OPENBLAS_CORETYPE": "Nehalem",
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "OMP_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",  # PyTorch takes it before that of OpenMP
        "OPENBLAS_NUM_THREADS": "2",
        "LC_ALL": _locale_with_comma(),
        "TZ": "America/St_Johns",
        "PYTHONHASHSEED": "2",
    }
    return {"without AVX-512": one_step, "without AVX2 and FMA": all_steps}


def _locale_with_comma() -> str:
    """An installed locale that writes 0,5; POSIX if there is none."""
    names = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=True).stdout.split()
    commas = [name for name in names if name.startswith(("tr_TR", "de_DE", "fr_FR"))]
    return commas[0] if commas else "POSIX"


def in_effect(variables: dict[str, str]) -> dict[str, object]:
    command = [sys.executable, "-W", "ignore", "-c", ASK]
    answer = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)


def main(arguments: list[str]) -> int:
    here = in_effect({})
    failed = []
    for name, variables in settings().items():
        there = in_effect(variables)
        print(f"\n{name}")
        for what, value in there.items():
            print(f"  {what:<17}{value}{'' if value != here[what] else '   NOT SWITCHED: as on this machine'}")
        command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "--dist", "loadscope", *(arguments or CHECKS)]
        if subprocess.run(command, env=os.environ | variables, cwd=TOP).returncode:
            failed.append(name)
    print(f"\nfailed: {', '.join(failed)}" if failed else "\nall as stored and as tested, in all settings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
