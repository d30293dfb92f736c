// The row types cannot be read off a function template.
// expect: DeducibleFunction
#include <galley/compose/map.hpp>

const auto right = galley::map("same", [](int n) { return n; });
#ifdef GALLEY_MISTAKE
const auto wrong = galley::map("same", [](auto n) { return n; });
#endif
