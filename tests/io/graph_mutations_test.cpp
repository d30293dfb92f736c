// Right documents made wrong at random: each loads, or is told with a place.
#include <support/allocations.hpp>

#include <io/graphs.hpp>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <support/catch.hpp>

using graphs::good_documents;
using graphs::Host;
namespace io = galley::io;

namespace {

/// Makes right documents wrong, or other right ones.
class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  std::size_t below(std::size_t n) { return n == 0 ? 0 : random_() % n; }

  std::string text_of(const std::string& good) {
    switch (below(8)) {
      case 0:
        return good.substr(0, below(good.size()));
      case 1: {
        std::string text = good;
        text[below(text.size())] = static_cast<char>(random_() % 256);
        return text;
      }
      case 2: {
        std::string text = good;
        text.insert(below(text.size()), good.substr(below(good.size()), below(20)));
        return text;
      }
      default: {
        io::Value value = *io::parse_json(good);
        for (std::size_t n = 1 + below(3); n > 0; --n) mutate(pick(value));
        return io::to_json(value);
      }
    }
  }

 private:
  /// A list or an object of the document, or the document.
  io::Value& pick(io::Value& value) {
    std::vector<io::Value*> inner;
    if (auto* list = value.list()) {
      for (io::Value& item : *list) inner.push_back(&item);
    } else if (auto* object = value.object()) {
      for (auto& member : *object) inner.push_back(&member.value);
    }
    std::erase_if(
        inner, [](const io::Value* v) { return v->list() == nullptr && v->object() == nullptr; });
    if (inner.empty() || below(3) == 0) return value;
    return pick(*inner[below(inner.size())]);
  }

  void mutate(io::Value& value) {
    if (auto* list = value.list(); list != nullptr && !list->empty()) {
      const std::size_t at = below(list->size());
      if (below(3) == 0) {
        list->erase(list->begin() + static_cast<std::ptrdiff_t>(at));
      } else if (below(3) == 0) {
        list->push_back((*list)[at]);
      } else {
        (*list)[at] = other((*list)[at]);
      }
    } else if (auto* object = value.object(); object != nullptr && !object->empty()) {
      const std::size_t at = below(object->size());
      switch (below(4)) {
        case 0:
          object->erase(object->begin() + static_cast<std::ptrdiff_t>(at));
          break;
        case 1:
          rename((*object)[at].name);
          break;
        default:
          (*object)[at].value = other((*object)[at].value);
      }
    } else {
      value = other(value);
    }
  }

  void rename(std::string& name) {
    if (name.empty() || below(2) == 0) {
      name += static_cast<char>('a' + below(26));
    } else {
      name.erase(below(name.size()), 1);
    }
  }

  io::Value other(const io::Value& value) {
    switch (below(10)) {
      case 0:
        return io::Value();
      case 1:
        return io::Value(below(2) == 0);
      case 2:
        return io::Value(static_cast<std::int64_t>(random_()) - (1LL << 31));
      case 3:
        return io::Value(static_cast<double>(random_()) * 1e-3);
      case 4:
        return io::Value(INT64_MAX);
      case 5:
        return io::Value(names[below(std::size(names))]);
      case 6:
        return io::Value(io::Value::List{value, value});
      case 7: {
        io::Value wrapped;
        wrapped.set("of", value);
        return wrapped;
      }
      default: {
        std::string text = value.text() == nullptr ? "x" : *value.text();
        rename(text);
        return io::Value(text);
      }
    }
  }

  static constexpr const char* names[] = {"net", "other",  "count",   "cpu",         "in_order",
                                          "on",  "padded", "batched", "pipeline",    "slot",
                                          "a",   "b",      "",        "learned_cap", "1ms"};
  std::mt19937 random_;
};

}  // namespace

TEST_CASE("documents that were mutated load, or are told with a place", "[io][graph]") {
  const Host host;
  auto good = good_documents();
  for (const std::string& more : graphs::good_combinators()) good.push_back(more);
  for (const std::string& document : good) {
    CAPTURE(document);
    const auto graph = host.load(document);
    CAPTURE(graph.has_value() ? "" : graph.error().detail);
    REQUIRE(graph.has_value());
  }
  std::size_t refused = 0;
  for (unsigned seed = 0; seed < 6000; ++seed) {
    Mutator mutator(seed);
    const std::string document = mutator.text_of(good[seed % good.size()]);
    const support::AllocationCount taken;
    const auto graph = host.load(document);
    const std::size_t took = taken.so_far();
    CAPTURE(seed, document);
    REQUIRE(took < 20'000);
    if (graph.has_value()) continue;
    ++refused;
    const std::string& detail = graph.error().detail;
    CAPTURE(detail);
    const bool placed = detail.size() > 3 && detail[0] == '$' && detail.find(": ") != detail.npos;
    REQUIRE(placed);
    REQUIRE(detail.size() < 1000);
  }
  CAPTURE(refused);
  CHECK(refused > 4000);
}
