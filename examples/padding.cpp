// Padding: sentences of any length, batched for a model that takes dense blocks and a mask. It is
// the mean praise of the words weighed by a softmax, as attention does: padding would weigh too.
#include <galley/compose/batched.hpp>
#include <galley/compose/padded.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/galley.hpp>

#include <cmath>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

using galley::NamedTensors, galley::Result, galley::Rows, galley::Tensor;

namespace {

struct Word {
  const char* text;
  float weight, praise;
};
constexpr Word words[] = {{"", 0, 0},     {"warm", 1, 1}, {"fresh", 2, 1}, {"cold", 2, -1},
                          {"the", -3, 0}, {"and", -3, 0}, {"not", 1, -1},  {"burnt", 3, -1}};

Result<Tensor> tokens_of(const std::string& sentence) {
  std::vector<std::int64_t> tokens;
  std::istringstream in(sentence);
  for (std::string word; in >> word;) {
    std::int64_t token = std::size(words) - 1;
    while (token > 0 && word != words[token].text) --token;  // 0 is for those not known
    tokens.push_back(token);
  }
  return Tensor::copy_of(tokens, {tokens.size()});
}

template <bool minds_mask>
float praise(const NamedTensors& row) {
  const Tensor tokens = *row.find("input"), mask = *row.find("mask");
  float sum = 0, weights = 0;
  for (std::int64_t i = 0; i < tokens.numel(); ++i) {
    if (minds_mask && !mask.data<bool>()[i]) continue;
    const Word& word = words[tokens.data<std::int64_t>()[i]];
    weights += std::exp(word.weight);
    sum += std::exp(word.weight) * word.praise;
  }
  return sum / weights;
}

}  // namespace

int main() {
  const galley::ThreadPool pool({.workers = 1});
  galley::Padding options{.lengths = {2, 4, 8}};
  for (const char* sample : {"soup", "burnt soup", "the bread not fresh"}) {
    options.samples.push_back(*tokens_of(sample));
  }
  // That padding changes no answer is checked before anything is served.
  const auto careless = galley::padded(galley::map("careless", praise<false>), options);
  std::printf("%s\n", to_string(careless.prepare().error()).c_str());

  const auto model = galley::padded(galley::map("praise", praise<true>), options);
  const auto graph = galley::map("tokens", tokens_of) | galley::batched(pool, model);
  if (!graph.prepare().has_value()) return 1;
  const Rows<std::string> sentences{"warm fresh bread", "cold soup", "the soup and the warm bread",
                                    "cold and burnt and the soup not the bread"};
  const galley::Outcomes<float> all = graph.serve_rows(sentences);
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    const Result<float> alone = graph.serve(sentences[i]);
    if (alone ? !all[i] || *all[i] != *alone : all[i].status() != alone.status()) return 1;
    std::printf("%s\n", alone ? std::to_string(*alone).c_str() : to_string(alone.error()).c_str());
  }
}

// prints:
// failed_precondition: padded(careless): not safe to pad: sample 1 filled up from 2 to 4: ...
// 0.909969
// -0.880797
// 0.558439
// invalid_argument: padded(praise): expected ... 1 to 8 along axis 0, got int64 [9]
