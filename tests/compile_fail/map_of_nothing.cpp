// A function that neither returns nor completes answers nothing.
// expect: DeducibleFunction
#include <galley/compose/map.hpp>

const auto right = galley::map("same", [](int n) { return n; });
#ifdef GALLEY_MISTAKE
const auto wrong = galley::map("same", [](int) {});
#endif
