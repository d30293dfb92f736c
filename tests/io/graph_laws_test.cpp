// Random graphs, each from JSON and by hand: they answer the same, and print the same again.
#include <galley/compose/batched.hpp>
#include <galley/compose/in_order.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/io/graph.hpp>
#include <galley/io/graph/support.hpp>
#include <galley/testing/manual_executor.hpp>

#include <chrono>
#include <cstddef>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Error;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
namespace io = galley::io;

namespace {

/// A graph and the node of a document that says it.
struct Twin {
  Servable<int, int> servable;
  io::Value node;
};

/// Draws both at once.
class TwinMaker {
 public:
  explicit TwinMaker(unsigned seed) : random_(seed) {
    registry.add_executor("manual", manual).support<int, int>();
    registry.add_value("sign", sign_).add_value("even", even_);
    for (int i = 0; i < 6; ++i) {
      leaves_.push_back(leaf(i));
      registry.add(leaves_.back().name(), leaves_.back());
    }
  }

  int number(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

  Rows<int> rows() {
    Rows<int> drawn;
    for (int n = number(9); n > 0; --n) drawn.push_back(number(60) - 30);
    return drawn;
  }

  /// The document and its servable.
  Twin graph() {
    define_ = io::Value::Object();
    defined_.clear();
    Twin made = draw(3);
    io::Value document;
    const bool has_members = made.node.object() != nullptr;
    if (!has_members) document.set("use", made.node);
    if (!defined_.empty()) document.set("define", define_);
    if (has_members) {
      for (auto& member : *made.node.object()) document.set(member.name, member.value);
    }
    return {made.servable, std::move(document)};
  }

  const galley::ManualExecutor manual;
  galley::Registry registry;

 private:
  static Servable<int, int> leaf(int i) {
    const auto step = [i](int n) -> Result<int> {
      if (n % 7 == i) return Error(Status::invalid_argument, "no " + std::to_string(n));
      if (i == 5 && n % 11 == 3) throw std::runtime_error("bad row");
      return n * (i - 2) + i;
    };
    return galley::map("s" + std::to_string(i), step);
  }

  Twin draw(int depth) {
    switch (depth > 0 ? number(14) : 0) {
      case 1:
      case 2:
        return pipeline(depth);
      case 3:
        return around("on", depth);
      case 4:
        return around("in_order", depth);
      case 5:
        return around("batched", depth);
      case 6:
        return definition(depth);
      case 8:
        return checked(depth);
      case 9:
      case 10:
        return of_several(depth);
      case 11:
        return routed(depth);
      case 12:
        return resilient(depth);
      case 7:
        if (!defined_.empty())
          return defined_[static_cast<std::size_t>(number(static_cast<int>(defined_.size())))];
        [[fallthrough]];
      default: {
        const auto& leaf = leaves_[static_cast<std::size_t>(number(6))];
        return {leaf, io::Value(leaf.name())};
      }
    }
  }

  Twin pipeline(int depth) {
    io::Value::List stages;
    Twin all = draw(depth - 1);
    stages.push_back(all.node);
    for (int n = number(3); n >= 0; --n) {
      Twin next = draw(depth - 1);
      all.servable = all.servable | next.servable;
      stages.push_back(next.node);
    }
    all.node = io::Value();
    all.node.set("kind", "pipeline");
    all.node.set("stages", io::Value(std::move(stages)));
    return all;
  }

  Twin around(const char* kind, int depth) {
    Twin inner = draw(depth - 1);
    io::Value node;
    node.set("kind", kind);
    node.set("of", inner.node);
    if (kind == std::string("in_order")) return {in_order(inner.servable), std::move(node)};
    node.set("executor", "manual");
    if (kind == std::string("on")) return {on(manual, inner.servable), std::move(node)};
    galley::BatchOptions options;
    if (number(2) == 0) {
      options.max_rows = static_cast<std::size_t>(1 + number(9));
      options.caller_runs = number(2) == 0 ? galley::CallerRuns::never : options.caller_runs;
      io::Value written;
      written.set("max_rows", static_cast<std::int64_t>(options.max_rows));
      if (options.caller_runs == galley::CallerRuns::never) written.set("caller_runs", "never");
      node.set("options", std::move(written));
    }
    galley::AnyBatchPolicy policy = drawn_policy(node);
    return {batched(manual, inner.servable, options, policy), std::move(node)};
  }

  /// With a check of what goes in, or of what comes out.
  Twin checked(int depth) {
    const bool guards = number(2) == 0;
    Twin inner = draw(depth - 1);
    const galley::InRange range{-20.0 - number(40), 20.0 + number(40)};
    io::Value node = kind(guards ? "guard" : "filter"), check = kind("in_range");
    check.set("least", range.least);
    check.set("most", range.most);
    node.set("of", inner.node);
    node.set(guards ? "check" : "rule", std::move(check));
    const galley::AnyCheck<int> any = range;
    return {guards ? guard(any, inner.servable) : filter(any, inner.servable), std::move(node)};
  }

  struct Several {
    std::vector<Servable<int, int>> servables;
    io::Value::List nodes;
  };
  Several several(int depth) {
    Several all;
    for (int n = number(2); n >= -1; --n) {
      Twin one = draw(depth - 1);
      all.servables.push_back(one.servable);
      all.nodes.push_back(std::move(one.node));
    }
    return all;
  }

  Twin of_several(int depth) {
    Several all = several(depth);
    io::Value node = kind("fallback");
    switch (number(3)) {
      case 0:
        node.set("chain", io::Value(std::move(all.nodes)));
        return {galley::fallback(all.servables), std::move(node)};
      case 1:
        node = kind("cascade");
        node.set("levels", io::Value(std::move(all.nodes)));
        node.set("accept", "even");
        return {galley::cascade(all.servables, even_), std::move(node)};
      default:
        node = kind("ensemble");
        node.set("combiner", kind("majority_vote"));
        node.set("members", io::Value(std::move(all.nodes)));
        return {ensemble(galley::AnyCombiner<int>(galley::MajorityVote()), all.servables),
                std::move(node)};
    }
  }

  Twin routed(int depth) {
    Several all = several(depth);
    io::Value node = kind("route");
    if (number(2) == 0) {
      node.set("by", "sign");
      node.set("arms", io::Value(std::move(all.nodes)));
      return {route(sign_, all.servables), std::move(node)};
    }
    std::vector<double> weights;
    io::Value::List written;
    for (std::size_t i = 0; i < all.servables.size(); ++i) {
      weights.push_back(1 + number(9));
      written.push_back(io::Value(weights.back()));
    }
    io::Value by = kind("by_weight");
    by.set("weights", io::Value(std::move(written)));
    node.set("by", std::move(by));
    node.set("arms", io::Value(std::move(all.nodes)));
    return {route(galley::AnyRoute(
                      galley::by_weight(galley::RouteWeights(std::span<const double>(weights)))),
                  all.servables),
            std::move(node)};
  }

  /// What refuses such a child is left out.
  Twin resilient(int depth) {
    using namespace std::chrono_literals;
    Twin inner = draw(depth - 1);
    const char* const kinds[] = {"retry", "breaker", "timeout", "hedge"};
    const int which = number(4);
    io::Value node = kind(kinds[which]);
    node.set("executor", "manual");
    node.set("of", inner.node);
    if (which == 2) node.set("duration", "10s");
    const Servable<int, int> made = which == 0   ? retry(manual, inner.servable)
                                    : which == 1 ? breaker(manual, inner.servable)
                                    : which == 2 ? timeout(manual, inner.servable, 10s)
                                                 : hedge(manual, inner.servable);
    return made.check().has_value() ? Twin{made, std::move(node)} : inner;
  }

  static io::Value kind(const char* name) {
    io::Value node;
    node.set("kind", name);
    return node;
  }

  galley::AnyBatchPolicy drawn_policy(io::Value& node) {
    using namespace std::chrono_literals;
    io::Value written;
    switch (number(4)) {
      case 0:
        written.set("kind", "size_or_delay");
        written.set("max_rows", 3);
        written.set("max_delay", "1ms");
        node.set("policy", written);
        return galley::SizeOrDelay{3, 1ms};
      case 1:
        written.set("kind", "preferred_sizes");
        written.set("sizes", io::Value::List{2, 4});
        node.set("policy", written);
        return galley::PreferredSizes{{2, 4}};
      case 2:
        written.set("kind", "learned_cap");
        written.set("max_yields", 0);
        node.set("policy", written);
        return galley::LearnedCap{.max_yields = 0};
      default:
        return {};
    }
  }

  Twin definition(int depth) {
    Twin inner = draw(depth - 1);
    const std::string name = "d" + std::to_string(defined_.size());
    define_.set(name, inner.node);
    defined_.push_back({inner.servable, io::Value(name)});
    return defined_.back();
  }

  const io::RouteFunction<int> sign_ = [](int n) { return n < 0 ? 1U : 0U; };
  const io::AnyAccept<int> even_ = [](int n) { return n % 2 == 0; };
  std::mt19937 random_;
  std::vector<Servable<int, int>> leaves_;
  io::Value define_;
  std::vector<Twin> defined_;
};

void same_descriptions(const galley::Description& a, const galley::Description& b) {
  REQUIRE(a.kind == b.kind);
  REQUIRE(a.name == b.name);
  REQUIRE(a.options == b.options);
  REQUIRE(a.traits == b.traits);
  REQUIRE(a.children.size() == b.children.size());
  for (std::size_t i = 0; i < a.children.size(); ++i) {
    same_descriptions(a.children[i], b.children[i]);
  }
}

std::vector<Result<int>> ask(const TwinMaker& maker, const Servable<int, int>& servable,
                             const Rows<int>& rows, bool submit) {
  Outcomes<int> outcomes;
  if (submit) {
    bool answered = false;
    servable.submit_rows(rows, {},
                         galley::BatchCompletion<int>(rows.size(), [&](Outcomes<int> got) {
                           outcomes = std::move(got);
                           answered = true;
                         }));
    maker.manual.run_all();
    REQUIRE(answered);
  } else {
    outcomes = servable.serve_rows(rows);
  }
  std::vector<Result<int>> all;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const auto one = outcomes[i];
    if (one.has_value()) {
      all.emplace_back(*one);
    } else {
      all.emplace_back(one.error());
    }
  }
  return all;
}

}  // namespace

TEST_CASE("a loaded graph answers as the one that is written in C++", "[io][graph]") {
  for (unsigned seed = 0; seed < 2000; ++seed) {
    TwinMaker maker(seed);
    const Twin twin = maker.graph();
    const std::string json = to_json(twin.node);
    CAPTURE(seed, json);
    const auto loaded = galley::load_graph<int, int>(json, maker.registry);
    CAPTURE(loaded.has_value() ? "" : loaded.error().detail);
    REQUIRE(loaded.has_value());
    same_descriptions(loaded->describe(), twin.servable.describe());
    const std::string printed = print_graph(*loaded);
    REQUIRE(printed == json);
    const auto again = galley::load_graph<int, int>(printed, maker.registry);
    REQUIRE(again.has_value());
    for (const bool submit : {false, true}) {
      const Rows<int> rows = maker.rows();
      const auto wanted = ask(maker, twin.servable, rows, submit);
      REQUIRE(ask(maker, *loaded, rows, submit) == wanted);
      REQUIRE(ask(maker, *again, rows, submit) == wanted);
    }
  }
}
