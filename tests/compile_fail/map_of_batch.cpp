// map takes a function of one row; for one of many rows there is map_batch.
// expect: galley::map needs galley::ServesRows
#include <galley/compose/map.hpp>

const auto same = [](const galley::Rows<int>& rows) { return rows; };
const auto right = galley::map_batch("same", same);
#ifdef GALLEY_MISTAKE
const auto wrong = galley::map("same", same);
#endif
