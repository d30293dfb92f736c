// A function that changes itself cannot be called from any thread.
// expect: DeducibleFunction
#include <galley/compose/map.hpp>

const auto right = galley::map("count", [](int n) { return n; });
#ifdef GALLEY_MISTAKE
const auto wrong = galley::map("count", [seen = 0](int n) mutable { return n + ++seen; });
#endif
