"""Writes operations.generated.ts: the operations that ONNX Runtime of this version knows, of ONNX' own set, of ai.onnx.ml and of
com.microsoft. Run it with the Python package of the version that package.json names for onnxruntime-web:

    pip install onnxruntime==1.30.0 && python make_operations.py
"""

from pathlib import Path
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

domains = {}
for schema in state.get_all_operator_schema():
    domains.setdefault(schema.domain, set()).add(schema.name)

kept = {"": "ONNX' own", "ai.onnx.ml": "classical models", "com.microsoft": "ONNX Runtime's own"}
lines = [
    f"// Made by make_operations.py with onnxruntime {onnxruntime.__version__}; not edited by hand.",
    "",
    "/** Names of operations by their domain. */",
    "export const OPERATIONS: Readonly<Record<string, string>> = {",
]
for domain, what in kept.items():
    lines.append(f"  // {what}")
    lines.append(f"  '{domain}':")
    lines.append(f"    '{' '.join(sorted(domains[domain]))}',")
lines.append("};")
Path(__file__).with_name("operations.generated.ts").write_text("\n".join(lines) + "\n")
