// What has unlike rows or is code, from documents: servables by their names, and kinds of a host's.
#include <galley/compose/ensemble.hpp>
#include <galley/compose/expand.hpp>
#include <galley/compose/fan_out.hpp>
#include <galley/compose/guard.hpp>
#include <galley/compose/in_order.hpp>
#include <galley/compose/logic.hpp>
#include <galley/policy/check/any.hpp>
#include <galley/policy/check/finite.hpp>

#include <support/has.hpp>

#include <io/twins.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

using galley::Error;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using galley::Tensor;
using support::has;
using twins::check_alike;
using twins::Net;
using twins::number;
using twins::row;
namespace io = galley::io;

namespace {

using Both = std::tuple<Tensor, int>;

/// `fan_out` of two: their types are this program's.
struct BothKind {
  io::Required<Net> left;
  io::Required<Servable<Tensor, int>> right;

  static io::Fields<BothKind> fields() {
    return io::Fields<BothKind>("Both answers.")
        .add("left", &BothKind::left, "Answers a tensor.")
        .add("right", &BothKind::right, "Answers a number.")
        .inputs_from("left");
  }
  Servable<Tensor, Both> make() && { return galley::fan_out(*std::move(left), *std::move(right)); }
};

/// `expand`, whose halves the host registers.
using Split = std::function<Rows<Tensor>(const Tensor&)>;
using Join = std::function<Tensor(const Tensor&, const Rows<Tensor>&)>;
struct EachKind {
  io::Required<Split> split;
  io::Required<Net> of;
  io::Required<Join> join;
  std::size_t max_items = galley::ExpandOptions().max_items;

  static io::Fields<EachKind> fields() {
    return io::Fields<EachKind>("Each part of a row, and what was found joined again.")
        .add("split", &EachKind::split, "What gives a row's parts.")
        .add("of", &EachKind::of, "What is asked about a part.")
        .add("join", &EachKind::join, "What makes an answer of theirs.")
        .add("max_items", &EachKind::max_items, "The most parts.", {.min = 1, .max = 4096});
  }
  Net make() && {
    return expand([split = *std::move(split)](const Tensor& whole) { return split(whole); },
                  *std::move(of),
                  [join = *std::move(join)](const Tensor& whole, const Rows<Tensor>& found) {
                    return join(whole, found);
                  },
                  galley::ExpandOptions{.max_items = max_items});
  }
};

/// `logic`: the code is here, whom it calls is said in the document.
struct SecondOpinion {
  io::Required<Net> small;
  io::Required<Net> large;
  double sure = 10;

  static io::Fields<SecondOpinion> fields() {
    return io::Fields<SecondOpinion>("Asks another where the first is not sure.")
        .add("small", &SecondOpinion::small, "Asked about every row.")
        .add("large", &SecondOpinion::large, "Asked where that says little.")
        .add("sure", &SecondOpinion::sure, "From what number on it is sure.", {.min = 0});
  }
  Net make() && {
    return galley::logic<Tensor>(
        "second opinion",
        [sure = sure](Tensor one, auto& first, auto& second) -> galley::RowTask<Tensor> {
          const Result<Tensor> said = co_await first(one);
          if (!said) co_return said.error();
          if (number(*said) >= sure) co_return *said;
          co_return co_await second(one);
        },
        *std::move(small), *std::move(large));
  }
};

/// `stacked` of rows that are not tensors: the model takes a vector of the members' answers.
struct StackedKind {
  io::Required<Servable<std::vector<double>, double>> model;
  io::Required<std::vector<Servable<Tensor, double>>> members;

  static io::Fields<StackedKind> fields() {
    return io::Fields<StackedKind>("A model over the members' answers.")
        .add("model", &StackedKind::model, "What takes their answers.")
        .add("members", &StackedKind::members, "Who is asked.", {.min_items = 1});
  }
  Servable<Tensor, double> make() && {
    return ensemble(galley::Stack(), *members) | *std::move(model);
  }
};

struct Host : twins::Host {
  Servable<Tensor, int> whole =
      galley::map("whole", [](const Tensor& one) { return static_cast<int>(number(one)); });
  Servable<Both, Tensor> sum = galley::map("sum", [](const Both& both) {
    return row(number(std::get<0>(both)) + static_cast<float>(std::get<1>(both)));
  });
  Split split = [](const Tensor& one) {
    Rows<Tensor> parts;
    for (float x = number(one); x > 0; --x) parts.push_back(row(x));
    return parts;
  };
  Join join = [](const Tensor&, const Rows<Tensor>& found) {
    float all = 0;
    for (std::size_t i = 0; i < found.size(); ++i) all += number(found[i]);
    return row(all);
  };

  Host() {
    registry.add_kind<BothKind>("both").add_kind<EachKind>("each");
    registry.add_kind<SecondOpinion>("second_opinion").add_kind<StackedKind>("stacked");
    registry.joints<Tensor, Tensor, Both>();
    registry.add("whole", whole).add("sum", sum);
    registry.add_value("split", split).add_value("join", join);
    REQUIRE(registry.check().has_value());
  }
};

}  // namespace

TEST_CASE("fan_out is a kind of the host's, its tuple joined to the next stage",
          "[io][graph][own]") {
  const Host host;
  check_alike(host,
              R"({"kind": "pipeline", "stages": [
                  {"kind": "both", "left": "twice", "right": "whole"}, "sum"]})",
              fan_out(host.twice, host.whole) | host.sum);
  has(host.error(R"({"kind": "pipeline", "stages": [
                     {"kind": "both", "left": "whole", "right": "whole"}, "sum"]})"),
      "$.stages[0].left: expected rows Tensor -> Tensor, got \"whole\", Tensor -> int");
  has(host.error(R"({"kind": "both", "left": "twice", "right": "whole"})"),
      "$: expected rows Tensor -> Tensor, got \"both\"");
}

TEST_CASE("expand is a kind of the host's, with functions by their names", "[io][graph][own]") {
  const Host host;
  check_alike(
      host,
      R"({"kind": "each", "split": "split", "join": "join", "max_items": 40,
                  "of": {"kind": "in_order", "of": "twice"}})",
      expand([&](const Tensor& one) { return host.split(one); }, in_order(host.twice),
             [&](const Tensor& one, const Rows<Tensor>& found) { return host.join(one, found); },
             {.max_items = 40}));
  has(host.error(R"({"kind": "each", "split": "join", "join": "join", "of": "twice"})"),
      "$.split: expected the name of a ");
}

TEST_CASE("logic is a kind of the host's, with the servables that it calls", "[io][graph][own]") {
  const Host host;
  const auto graph = host.load(
      R"({"kind": "second_opinion", "small": "twice", "large": {"kind": "retry", "of": "minus"}})");
  REQUIRE(graph.has_value());
  CHECK(number(*graph->serve(row(6))) == 12);
  CHECK(number(*graph->serve(row(4))) == -4);
  CHECK(print_graph(*graph) == print_graph(*host.load(print_graph(*graph))));
}

TEST_CASE("a whole servable of code is used by its name", "[io][graph][own]") {
  Host host;
  host.registry.add("both", fan_out(host.twice, host.whole));
  host.registry.add("opinion", SecondOpinion{host.twice, host.minus, 3}.make());
  check_alike(host,
              R"({"kind": "pipeline", "stages": [
                  {"kind": "guard", "of": "opinion", "check": {"kind": "finite"}},
                  "both", "sum"]})",
              guard(galley::AnyCheck<Tensor>(galley::finite()),
                    SecondOpinion{host.twice, host.minus, 3}.make()) |
                  fan_out(host.twice, host.whole) | host.sum);
}

TEST_CASE("a stack of other rows than tensors is a kind of the host's", "[io][graph][own]") {
  Host host;
  const Servable<Tensor, double> half =
      galley::map("half", [](const Tensor& one) { return number(one) / 2.0; });
  const auto largest = galley::map("largest", [](const std::vector<double>& all) {
    return *std::max_element(all.begin(), all.end());
  });
  host.registry.add("half", half).add("largest", largest);
  const auto graph = galley::load_graph<Tensor, double>(
      R"({"kind": "stacked", "model": "largest", "members": ["half", "half"]})", host.registry);
  REQUIRE(graph.has_value());
  twins::check_descriptions(graph->describe(), stacked(largest, {half, half}).describe());
  CHECK(*graph->serve(row(5)) == 2.5);
}
