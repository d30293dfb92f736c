#!/bin/sh
# check-headers finds a header that does not stand alone, one that may not be included twice, one whose
# definitions collide, one that needs exceptions or RTTI, and one that is too heavy.
set -eu
. "$(dirname "$0")/support.sh"
shift
header=include/galley/core/rows.hpp
headers() { sh "$checks/headers.sh" "$work/tree" "$work/build" -DGALLEY_WITH_TORCH=OFF "$@"; }
plant "$header" '#pragma once' '#include <vector>' 'inline std::vector<int> rows() { return {}; }'
passes headers "$@"
plant "$header" '#pragma once' 'inline std::vector<int> rows() { return {}; }'
catches "$header:2:13: error: .vector. in namespace .std." headers "$@"
plant "$header" 'inline int rows() { return 1; }'
catches "$header:1:12: error: redefinition of" headers "$@"
plant "$header" '#pragma once' 'int rows() { return 1; }'
catches "multiple definition of .rows\(\)" headers "$@"
plant "$header" '#pragma once' 'inline int rows() { throw 1; }'
catches "$header:2:.*: error: (exception handling disabled|cannot use 'throw' with exceptions)" headers "$@"
plant "$header" '#pragma once' '#include <typeinfo>' 'inline auto rows(int i) { return typeid(i).hash_code(); }'
catches "$header:3:.*: error: .*-fno-rtti" headers "$@"
plant "$header" '#pragma once' '#include <vector>' 'inline int rows() { return 1; }'
passes headers "$@"
plant include/galley/policy/heavy.hpp '#pragma once' '#include <regex>' '#include <future>' \
  '#include <ranges>' '#include <random>' '#include <filesystem>' '#include <memory_resource>' \
  '#include <execution>' '#include <unordered_map>'
catches "^include/galley/policy/heavy.hpp:1: [0-9]* lines after preprocessing, the budget is [0-9]*" \
  headers "$@"
rm "$work/tree/include/galley/policy/heavy.hpp"
plant bench/load/include/galley/load/run.hpp '#pragma once' 'inline std::string run() { return {}; }'
catches "bench/load/include/galley/load/run.hpp:2:.*: error: .string. in namespace .std." \
  headers "$@"
echo "$count plantings"
