#!/bin/sh
# Take out of an environment what serving never opens, a fifth of its size: tests, headers, Arrow's network services,
# the names of symbols in Polars.
set -eu
cd "$1"/lib/python3*/site-packages
find . -type d -name tests -prune -exec rm -r {} +
rm -r pyarrow/include pyarrow/src
rm pyarrow/libarrow_flight.* pyarrow/libarrow_python_flight.* pyarrow/_flight.* pyarrow/libarrow_s3.* pyarrow/_s3fs.*
strip --strip-unneeded _polars_runtime*/_polars_runtime*.so
