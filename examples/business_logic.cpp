// Business logic: a coroutine for each row, over two models, that returns as early as it can. What
// rows ask a model goes to it in one batch, whatever each row asks next.
#include <galley/compose/logic.hpp>
#include <galley/galley.hpp>

#include <algorithm>
#include <cstdio>
#include <string>

namespace {

struct Opinion {
  std::string label;
  double confidence = 0;
};

/// Sure of short texts only.
Opinion quick_look(const std::string& text) {
  return {text.find('!') != std::string::npos ? "excited" : "calm", text.size() < 12 ? 0.95 : 0.6};
}

/// Counts, and takes its time.
Opinion long_look(const std::string& text) {
  const auto marks = std::count(text.begin(), text.end(), '!');
  return {marks > 1 ? "excited" : "calm", 0.99};
}

/// `look` as a model that says what batches it saw.
template <class Look>
galley::Servable<std::string, Opinion> model(std::string name, Look look) {
  return galley::map_batch(name, [name, look](const galley::Rows<std::string>& texts) {
    std::printf("%s model: a batch of %zu\n", name.c_str(), texts.size());
    galley::Rows<Opinion> opinions(texts.size());
    for (const std::string& text : texts) opinions.push_back(look(text));
    return opinions;
  });
}

}  // namespace

int main() {
  const auto mood = galley::logic<std::string>(
      "mood",
      [](std::string text, auto& small, auto& large) -> galley::RowTask<std::string> {
        if (text.empty()) co_return galley::Error(galley::Status::invalid_argument, "no text");
        const galley::Result<Opinion> first = co_await small(text);
        if (!first) co_return first.error();
        if (first->confidence > 0.9) co_return first->label;
        const galley::Result<Opinion> second = co_await large(text);
        if (!second) co_return second.error();
        co_return second->label == first->label ? second->label : second->label + ", not so sure";
      },
      model("small", quick_look), model("large", long_look));

  const galley::Rows<std::string> texts{
      "hello", "a long quiet letter",     "",
      "oh!",   "a letter with one mark!", "so much! in one! letter!"};
  const galley::Outcomes<std::string> moods = mood.serve_rows(texts);
  for (std::size_t i = 0; i < moods.size(); ++i) {
    std::printf("%s\n", moods[i] ? (*moods[i]).c_str() : to_string(moods[i].error()).c_str());
  }

  galley::LogicStatistics statistics;
  if (!mood.control("", statistics).has_value()) return 1;
  std::printf("%d calls in %d batches\n", static_cast<int>(statistics.calls),
              static_cast<int>(statistics.batches));
  return statistics.batches == 2 ? 0 : 1;
}

// prints:
// small model: a batch of 5
// large model: a batch of 3
// calm
// calm
// invalid_argument: mood: no text
// excited
// calm, not so sure
// excited
// 8 calls in 2 batches
