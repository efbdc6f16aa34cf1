"""An origin for Edgewise on Ray Serve: published models behind the Open Inference Protocol v2."""

VERSION = "0.1.0"
