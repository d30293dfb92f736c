// Answers that cannot be compared with == need a function that compares them.
// expect: predicate|EqualAnswers
#include <galley/compose/map.hpp>
#include <galley/compose/padded.hpp>

struct Answer {
  float value = 0;
};
const auto model = galley::map("model", [](const galley::Tensor&) { return Answer(); });
const auto same = [](const Answer& a, const Answer& b) { return a.value == b.value; };
auto right(const galley::Padding& options) {
  return galley::padded(model, options, same);
}
#ifdef GALLEY_MISTAKE
auto wrong(const galley::Padding& options) {
  return galley::padded(model, options);
}
#endif
