#include <galley/compose/batched.hpp>
#include <galley/runtime/thread_pool.hpp>
#include <galley/torch/threads.hpp>

#include <support/timing.hpp>

#include <batching/cases.hpp>
#include <batching/load.hpp>
#include <rivals/naive.hpp>

#include <chrono>

namespace bench {

namespace {

auto serve_one(Report& report, const Model& model, const Subject& subject) {
  return [&report, &model, &subject] {
    const c10::InferenceMode guard;
    const galley::Result<galley::Tensor> got = model.serve(subject.sample);
    if (!got.has_value()) report.check(false, galley::to_string(got.error()));
    const void* data = got.has_value() ? got->data() : nullptr;
    do_not_optimise(data);
  };
}

/// The same row from the same memory.
auto call_bare(const Subject& subject) {
  return [&subject] {
    const c10::InferenceMode guard;
    auto* memory = const_cast<void*>(subject.sample.data());
    const at::Tensor output =
        (*subject.bare)(torch::from_blob(memory, subject.image.sizes(), at::kFloat));
    const void* data = output.data_ptr();
    do_not_optimise(data);
  };
}

}  // namespace

void alone_cases(Report& report, std::vector<Subject>& subjects) {
  const galley::ThreadPool pool({.workers = 1});
  for (Subject& subject : subjects) {
    const Model model = galley::batched(pool, subject.served);
    report.check(model.prepare().has_value(), subject.name + " could not be prepared");
    const galley::Result<galley::Tensor> got = model.serve(subject.sample);
    report.check(got.has_value() && is_answer(*got, subject.answer),
                 subject.name + " behind batched answers differently");
    const bool tiny = &subject == &subjects.front();
    const Rounds rounds = tiny ? Rounds{.pairs = 600, .slice = std::chrono::microseconds(200)}
                               : Rounds{.pairs = 4000, .slice = std::chrono::microseconds(1)};
    const Paired pair = compare(serve_one(report, model, subject), call_bare(subject), rounds);
    const std::string name = "serve behind batched, one client, " + subject.name;
    if (tiny) {
      report.add({.id = "B1",
                  .name = name,
                  .metric = "paired difference",
                  .unit = "ns",
                  .goal = Goal::at_most(150)},
                 pair.difference);
      Naive naive(subject.served);
      const auto hand_off = [&] {
        const galley::Result<galley::Tensor> answer = naive.submit(subject.sample).get();
        if (!answer.has_value()) report.check(false, galley::to_string(answer.error()));
      };
      report.add({.id = "B1",
                  .name = "the same through a queue, a thread and a future",
                  .metric = "paired difference",
                  .unit = "ns"},
                 compare(hand_off, call_bare(subject), rounds).difference);
    } else {
      report.add(
          {.id = "B2", .name = name, .metric = "ratio", .unit = "", .goal = Goal::at_most(1.01)},
          pair.ratio);
    }
    report.add({.id = tiny ? "B1" : "B2",
                .name = "the bare call, " + subject.name,
                .metric = "time",
                .unit = "us"},
               pair.b.times(1e-3));
  }
}

}  // namespace bench
