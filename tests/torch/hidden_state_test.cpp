// Whatever a module keeps its state in, each sequence is answered as the module alone would.
#include "hidden_state.hpp"

#include <functional>

using galley::Freeze;
using galley::Optimize;
using galley::Profiling;
using namespace hidden;

namespace {

using Keys = std::vector<Key>;

struct Kind {
  const char* name;
  std::function<Module()> made;
  const char* state;
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all{
      {"by assignment", by_assignment, "h"},
      {"in place", in_place, "h"},
      {"in a submodule", in_submodule, "middle.cell.h"},
      {"from None", from_none, "h"},
      {"of many kinds", of_many_kinds, "count, pair, past, sums"},
      {"in place elsewhere", in_place_elsewhere, "both, second, sums"},
  };
  return all;
}

/// The names in some order.
std::string sorted(const std::string& names) {
  std::vector<std::string> all;
  for (std::size_t first = 0; first < names.size();) {
    const std::size_t end = std::min(names.find(", ", first), names.size());
    all.push_back(names.substr(first, end - first));
    first = end + 2;
  }
  std::sort(all.begin(), all.end());
  std::string joined;
  for (const std::string& name : all) joined += (joined.empty() ? "" : ", ") + name;
  return joined;
}

}  // namespace

TEST_CASE("each sequence is answered bit for bit as a module of its own", "[torch][state]") {
  for (const Kind& kind : kinds()) {
    for (const Freeze freeze : {Freeze::yes, Freeze::no}) {
      for (const Profiling profiling : {Profiling::off, Profiling::as_host}) {
        CAPTURE(kind.name, freeze, profiling);
        ScriptOptions how = options();
        how.freeze = freeze;
        how.profiling = profiling;
        const Stateful model = served(kind.made(), how);
        CHECK(option(model, "frozen") == (freeze == Freeze::yes ? "yes" : "no"));
        CHECK(sorted(option(model, "state")) == kind.state);
        Bare bare(kind.made());
        for (std::int64_t i = 0; i < 24; ++i) {
          const auto key = static_cast<Key>((i * i + i / 3) % 4);
          CHECK(*step(model, key, row_of(i)) == bare(key, row_of(i)));
        }
      }
    }
  }
}

TEST_CASE("a module that freezing makes another of runs as it was saved", "[torch][state]") {
  const Stateful model = served(in_shared_submodule(), options());
  CHECK(option(model, "frozen").starts_with("no: output \"0\" has "));
  CHECK(option(model, "state_bytes") == "24");  // once
  Bare bare(in_shared_submodule());
  for (std::int64_t i = 0; i < 8; ++i) {
    const auto key = static_cast<Key>(i % 3);
    CHECK(*step(model, key, row_of(i)) == bare(key, row_of(i)));
  }
}

TEST_CASE("a state goes on from what the module was saved with", "[torch][state]") {
  Module made = by_assignment();
  (void)models::bare(made, at::ones({1, width}));
  const Stateful model = served(made, options());
  Bare bare(made);
  for (const Key key : Keys{1, 2, 1}) CHECK(*step(model, key, row_of(3)) == bare(key, row_of(3)));
}

TEST_CASE("a detector of voices is served with its rate bound", "[torch][state]") {
  for (const Freeze freeze : {Freeze::yes, Freeze::no}) {
    ScriptOptions how = options({.reset = "reset_states"});
    how.arguments = {{"sr", std::int64_t{16000}}};
    how.freeze = freeze;
    const Stateful model = served(detector(), how);
    CHECK(sorted(option(model, "state")) == "_context, _last_sr, _state");
    CHECK(option(model, "reset") == "reset_states");
    Module fresh = detector();
    fresh.get_method("reset_states")({});
    Bare bare(fresh);
    for (std::int64_t i = 0; i < 12; ++i) {
      const auto key = static_cast<Key>(i % 3);
      CHECK(*step(model, key, row_of(i)) == bare(key, row_of(i), 16000));
    }
  }
}

TEST_CASE("a detector of voices is served with a rate in each row", "[torch][state]") {
  const auto rate = [](std::int64_t value) {
    return *Tensor::copy_of(std::vector<std::int64_t>{value}, {});
  };
  ScriptOptions how = options();
  how.inputs.push_back({"sr", i64, {}});
  how.samples = {{row_of(1), rate(8000)}, {row_of(2), rate(8000)}};
  const auto model = served<NamedTensors, Tensor>(detector(), how);
  Bare bare(detector());
  for (std::int64_t i = 0; i < 16; ++i) {
    const auto key = static_cast<Key>(i % 3);
    const std::int64_t value = i % 5 == 4 ? 8000 : 16000;
    const NamedTensors row{{"x", row_of(i)}, {"sr", rate(value)}};
    CHECK(*step(model, key, row) == bare(key, row_of(i), value));
  }
  // In one batch: two rates, one of which there is not.
  const Rows<NamedTensors> rows{{{"x", row_of(1)}, {"sr", rate(8000)}},
                                {{"x", row_of(2)}, {"sr", rate(44100)}},
                                {{"x", row_of(3)}, {"sr", rate(16000)}}};
  const std::array<Key, 3> keys{7, 7, 8};
  const auto outcomes = model.serve_rows(rows, {}, {.keys = keys});
  CHECK(*outcomes[0] == bare(7, row_of(1), 8000));
  CHECK(outcomes[1].status() == Status::internal);
  CHECK(*outcomes[2] == bare(8, row_of(3), 16000));
}

TEST_CASE("any method may be the one that changes the module", "[torch][state]") {
  Module made = by_assignment();
  made.define("def push(self, x: Tensor):\n    y = self.forward(x)\n    return y, y * 2.0\n");
  for (const Freeze freeze : {Freeze::yes, Freeze::no}) {
    ScriptOptions how = options();
    how.method = "push";
    how.freeze = freeze;
    const auto model = served<Tensor, NamedTensors>(made, how);
    Bare bare(made);
    for (const Key key : Keys{1, 2, 1, 1}) {
      const Result<NamedTensors> answer = step<NamedTensors>(model, key, row_of(5));
      const Tensor wanted = bare(key, row_of(5));
      CHECK(*answer->find("0") == wanted);
      CHECK(answer->find("0")->data() != answer->find("1")->data());
    }
  }
}

TEST_CASE("an optimised module with a state answers as the module does", "[torch][state]") {
  ScriptOptions how = options();
  how.optimize = Optimize::for_inference;
  const Stateful model = served(by_assignment(), how);
  Bare bare(by_assignment());
  for (std::int64_t i = 0; i < 6; ++i) {
    const Tensor answer = *step(model, 1, row_of(i));
    CHECK(at::allclose(models::torch_of(answer), models::torch_of(bare(1, row_of(i))), 1e-4, 1e-5));
  }
}

TEST_CASE("a state in an object that is no module is a sequence's own", "[torch][state]") {
  Module made("Model");
  const auto unit = made._ivalue()->compilation_unit();
  const auto type = c10::ClassType::create("__torch__.Counter", unit);
  unit->register_type(type);
  type->addAttribute("n", c10::TensorType::get());
  const auto counter = c10::ivalue::Object::create(c10::StrongTypePtr(unit, type), 1);
  counter->setSlot(0, at::zeros({1, width}));
  made.register_attribute("counter", type, counter);
  made.define(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    self.counter.n = self.counter.n + x\n"
      "    return self.counter.n * 2.0\n");
  const Stateful model = served(made, options());
  CHECK(option(model, "state") == "counter.n");
  Bare bare(made);
  for (const Key key : Keys{1, 2, 1, 3, 2}) {
    CHECK(*step(model, key, row_of(key == 1 ? 3 : 4)) == bare(key, row_of(key == 1 ? 3 : 4)));
  }
}

TEST_CASE("what changes only in a branch that no sample takes is found, or can be declared",
          "[torch][state]") {
  const std::string source =
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    if bool(x[0, 0] > 100.0):\n"
      "        self.loud.add_(1.0)\n"
      "    self.count = self.count + 1.0\n"
      "    return x + self.loud * 10.0 + self.count\n";
  const Module made =
      module(source, {{"loud", at::zeros({1, width})}, {"count", at::zeros({1, width})}});
  const at::Tensor loud = at::full({width}, 200.0);
  const Tensor call = models::rows(loud.unsqueeze(0))[0];
  for (const Freeze freeze : {Freeze::yes, Freeze::no}) {
    CAPTURE(freeze);
    ScriptOptions how = options();
    how.freeze = freeze;
    if (freeze == Freeze::no) how.state->attributes = {"loud"};  // else freezing finds it
    const Stateful model = served(made, how);
    CHECK(sorted(option(model, "state")) == "count, loud");
    Bare bare(made);
    for (const Key key : Keys{1, 2, 1}) {
      const Tensor row = key == 1 ? call : row_of(1);
      CHECK(*step(model, key, row) == bare(key, row));
    }
  }
}

TEST_CASE("answers share no memory with a state, nor a state with rows", "[torch][state]") {
  for (const auto& made : {by_assignment(), in_place()}) {
    const Stateful model = served(made, options());
    Bare bare(made);
    Tensor first = *step(model, 1, row_of(1));
    (void)bare(1, row_of(1));
    (*first.mutable_span<float>())[0] = 99;
    CHECK(*step(model, 1, row_of(2)) == bare(1, row_of(2)));
  }
  // The state is the row itself.
  const Module made = module(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    y = self.last + x\n"
      "    self.last = x\n"
      "    return y\n",
      {{"last", at::zeros({1, width})}});
  const Stateful model = served(made, options());
  {
    std::vector<float> gone(width, 3);
    const Tensor borrowed = *Tensor::view(gone, {width});
    CHECK(step(model, 1, borrowed).has_value());
    std::fill(gone.begin(), gone.end(), 77.F);
  }
  Tensor own = models::row({1, 1, 1, 1, 1, 1});
  CHECK(*step(model, 1, own) == models::row({4, 4, 4, 4, 4, 4}));
  (*own.mutable_span<float>())[0] = 50;
  CHECK(*step(model, 1, models::row({0, 0, 0, 0, 0, 0})) == models::row({1, 1, 1, 1, 1, 1}));
}

TEST_CASE("a module with a state says what it keeps and what it is", "[torch][state]") {
  const Stateful model = served(in_place(), options({.max_sequences = 9}));
  const galley::Description d = model.describe();
  CHECK(d.kind == "torch_script");
  CHECK(galley::to_string(*d.signature) == "(x: float32 [6] on cpu) -> (0: float32 [6])");
  CHECK(option(model, "state") == "h");
  CHECK(option(model, "state_bytes") == "24");
  CHECK(option(model, "reset") == "as saved");
  CHECK(option(model, "forms") == "not tried: it keeps a state");
  CHECK(option(model, "max_sequences") == "9");
  CHECK(option(model, "start") == "first_row");
  CHECK(model.traits().stateful);
  CHECK_FALSE(model.traits().repeatable);
  CHECK_FALSE(model.traits().deterministic);
  CHECK(model.traits().row_independent);
  CHECK(model.prepare().has_value());
  Bare bare(in_place());
  CHECK(*step(model, 1, row_of(1)) == bare(1, row_of(1)));  // not begun by what prepares
}
