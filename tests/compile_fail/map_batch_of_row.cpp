// map_batch takes a function of many rows; for one of one row there is map.
// expect: galley::map_batch needs galley::ServesBatches
#include <galley/compose/map.hpp>

const auto same = [](int n) { return n; };
const auto right = galley::map("same", same);
#ifdef GALLEY_MISTAKE
const auto wrong = galley::map_batch("same", same);
#endif
