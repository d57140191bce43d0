"""Adapters of a checkout that is not installed: in the folder ``adapters/`` beside the package.

An installation has this folder as ``xcnet.adapters``, and not this module.
"""

from __future__ import annotations

import os

__path__ = [os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "adapters")]
