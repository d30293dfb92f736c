// A function of a batch that answers with one value.
// expect: galley::BatchLogic
#include <galley/compose/logic.hpp>
#include <galley/compose/map.hpp>

const auto half = galley::map("half", [](int n) { return n / 2; });
const auto right = galley::logic_batch<int>(
    "right", [](const galley::Batch<int>&, auto& model) { return model(); }, half);
#ifdef GALLEY_MISTAKE
const auto wrong = galley::logic_batch<int>(
    "wrong", [](const galley::Batch<int>& rows, auto&) { return rows.size(); }, half);
#endif
