#!/bin/sh
# Take out of an environment what serving never opens, a fifth of its size: tests, headers, Arrow's network services,
# formats of pictures that are refused, the names of symbols in Polars and Arrow.
set -eu
cd "$1"/lib/python3*/site-packages
find . -type d -name tests -prune -exec rm -r {} +
rm -r pyarrow/include pyarrow/src
rm pyarrow/libarrow_flight.* pyarrow/libarrow_python_flight.* pyarrow/_flight.* pyarrow/libarrow_s3.* pyarrow/_s3fs.*
rm PIL/_avif.* PIL/_webp.* PIL/_imagingft.* pillow.libs/libavif* pillow.libs/libwebp* pillow.libs/libsharpyuv* \
    pillow.libs/libfreetype* pillow.libs/libharfbuzz* # AVIF, WebP, fonts
strip --strip-unneeded _polars_runtime*/_polars_runtime*.so pyarrow/*.so*
