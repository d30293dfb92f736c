// What is said of modules whose state is not what it was declared to be, and what may not stand
// around one that has a state.
#include <galley/compose/batched.hpp>
#include <galley/compose/hedge.hpp>
#include <galley/compose/last_good.hpp>
#include <galley/compose/padded.hpp>
#include <galley/compose/retry.hpp>
#include <galley/compose/shadow.hpp>
#include <galley/compose/with_state.hpp>
#include <galley/testing/manual_executor.hpp>

#include "hidden_state.hpp"
#include <support/has.hpp>

using galley::Freeze;
using galley::StateOptions;
using namespace hidden;
using namespace std::chrono_literals;

namespace {

Module stateless() {
  return module("def forward(self, x: Tensor) -> Tensor:\n    return torch.linear(x, self.w)\n",
                {{"w", models::sines({width, width})}});
}

void refused(const Module& made, ScriptOptions options, const std::string& part,
             Status status = Status::failed_precondition) {
  const galley::Error error = refusal(made, std::move(options));
  CAPTURE(error.detail);
  CHECK(error.status == status);
  support::has(error.detail, part);
}

}  // namespace

TEST_CASE("a module that changes itself, and was not said to, is refused with advice",
          "[torch][state]") {
  ScriptOptions plain = options();
  plain.state.reset();
  for (const Freeze freeze : {Freeze::yes, Freeze::no}) {
    plain.freeze = freeze;
    refused(by_assignment(), plain, "forward assigns to its attribute \"h\"; options.state keeps");
    refused(module("def forward(self, x: Tensor) -> Tensor:\n"
                   "    return self.h.add_(1.0).add_(x)\n",
                   {{"h", at::zeros({1, width})}}),  // of one row
            plain, "options.state keeps one for each sequence; failed on sample rows");
    refused(in_submodule(), plain, "assigns to its attribute \"middle.cell.h\"");
    refused(module("def forward(self, x: Tensor) -> Tensor:\n"
                   "    self.n.add_(1)\n"
                   "    return x + 1\n",
                   {{"n", at::zeros({1})}}),
            plain, "options.state keeps one for each sequence");
  }
}

TEST_CASE("a module that was said to keep a state, and keeps none, is refused", "[torch][state]") {
  refused(stateless(), options(), "keeps no state");
}

TEST_CASE("what is said of a state that does not fit the module is refused", "[torch][state]") {
  refused(by_assignment(), options({.reset = "clear"}), "the model has no method clear");
  refused(by_assignment(), options({.attributes = {"g"}}), "the model has no attribute \"g\"");
  refused(by_assignment(), options({.attributes = {"h.x"}}), "the model has no attribute \"h.x\"");
  refused(by_assignment(), options({.max_sequences = 0}), "options.state.max_sequences",
          Status::invalid_argument);
  refused(by_assignment(), options({.expiry = 0s}), "options.state.expiry",
          Status::invalid_argument);
  ScriptOptions pinned = options();
  pinned.forms.pinned = "frozen";
  refused(by_assignment(), pinned, "options.forms: a module with a state has no other forms");
  ScriptOptions packaged = options();
  packaged.forms.packages = {"model.pt2"};
  refused(by_assignment(), packaged, "and no packages");
  ScriptOptions reduced = options();
  reduced.forms.reduced = {.tried = {galley::Reduction::bfloat16}, .error = {.absolute = 1}};
  refused(by_assignment(), reduced, "a module with a state has no other forms");
  Module made = by_assignment();
  made.define("def set(self, value: float) -> None:\n    self.h = self.h * 0.0 + value\n");
  refused(made, options({.reset = "set"}), "set() does not run without arguments");
}

TEST_CASE("a reset method that does not take back all that changes is refused", "[torch][state]") {
  Module made = module(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    self.h = self.h + x\n"
      "    self.n = self.n + 1\n"
      "    return self.h * float(self.n)\n"
      "def reset(self) -> None:\n"
      "    self.h = torch.zeros([1, 6])\n",
      {{"h", at::zeros({1, width})}}, {{"n", c10::IntType::get(), std::int64_t{0}}});
  refused(made, options({.reset = "reset"}), "it does not take back all that changes");
  CHECK(served(made, options()).check().has_value());
}

TEST_CASE("a module that answers by chance, or not at all, is refused with a state too",
          "[torch][state]") {
  const models::Parts state{{"h", at::zeros({1, width})}};
  refused(module("def forward(self, x: Tensor) -> Tensor:\n"
                 "    self.h = self.h + torch.rand_like(x)\n"
                 "    return self.h\n",
                 state),
          options(), "equal rows give different answers");
  refused(module("def forward(self, x: Tensor) -> Tensor:\n"
                 "    self.h = self.h + x[:, :2]\n"
                 "    return self.h\n",
                 state),
          options(), "failed on sample rows");
  refused(module("def forward(self, x: Tensor) -> Tensor:\n"
                 "    self.h = self.h + x\n"
                 "    return self.h.sum()\n",
                 state),
          options(), "expected [1, ...], got a scalar");
}

TEST_CASE("a module with a state that was saved in training mode is told so", "[torch][state]") {
  Module made = module(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    self.h = self.h + torch.dropout(x, 0.5, self.training)\n"
      "    return self.h\n",
      {{"h", at::zeros({1, width})}}, {{"training", c10::BoolType::get(), true}});
  refused(made, options(), "call eval() before saving it");
  made.eval();
  CHECK(served(made, options()).check().has_value());
}

TEST_CASE("what repeats, caches or fills up rows is refused around a module with a state",
          "[torch][state]") {
  const Stateful model = served(by_assignment(), options());
  const galley::ManualExecutor executor;
  const auto check = [](const Stateful& around, const std::string& part) {
    const Result<void> checked = around.check();
    REQUIRE_FALSE(checked.has_value());
    CHECK(checked.status() == Status::failed_precondition);
    support::has(checked.error().detail, part);
  };
  check(galley::retry(model), "stateful");
  check(galley::hedge(executor, model), "stateful");
  check(galley::last_good(model), "stateful");
  ScriptOptions plain = options();
  plain.state.reset();
  check(galley::shadow(executor, served(stateless(), plain), model, {},
                       [](const galley::ShadowRow<Tensor, Tensor>&) {}),
        "stateful");
  check(galley::padded(model, {.lengths = {width}, .check = galley::Padding::Check::trust}),
        "depend on earlier ones");
  check(galley::batched(executor, model, {.max_rows = 4, .sizes = {2, 4}}), "stateful");
  StateOptions again;
  again.tensors = {{"h", "h"}};
  const auto named = served<NamedTensors, NamedTensors>(by_assignment(), options());
  const Result<void> twice = galley::with_state(named, again).check();
  REQUIRE_FALSE(twice.has_value());
  support::has(twice.error().detail, "keeps a state already");
}
