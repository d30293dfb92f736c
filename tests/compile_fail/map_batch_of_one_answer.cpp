// A whole-batch function owes one answer for each row.
// expect: galley::map_batch needs galley::ServesBatches
#include <galley/compose/map.hpp>

const auto right = galley::map_batch("sum", [](const galley::Rows<int>& rows) { return rows; });
#ifdef GALLEY_MISTAKE
const auto wrong = galley::map_batch("sum", [](const galley::Rows<int>& rows) { return rows[0]; });
#endif
