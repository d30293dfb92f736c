// The cases, the same text in both files: included in an anonymous namespace, after the functions
// that they call. `throws` says whether a call with 13 throws.
//
// Functions are named by pointers, so that both files make the same templates of them.

using Step = int (*)(int);
using Steps = galley::Rows<int> (*)(const galley::Rows<int>&);
using Later = void (*)(int, galley::Completion<int>);
using LaterAll = void (*)(galley::Rows<int>, galley::BatchCompletion<int>);
using Heard = void (*)(galley::Result<int>);
using HeardAll = void (*)(galley::Outcomes<int>);
using Look = int (*)(const Fragile&);
using Measure = float (*)(const galley::Tensor&);

int failures = 0;
void check(bool met, const char* what) {
  if (met) return;
  ++failures;
  std::fprintf(stderr, "%s exceptions: %s\n", throws ? "with" : "without", what);
}

int heard_sum = 0;

void check_graph(const galley::Servable<int, int>& graph, const galley::ManualExecutor& executor,
                 const char* what) {
  check(graph.serve(1).value_or(-1) == 2, what);
  const galley::Outcomes<int> outcomes = graph.serve_rows(galley::Rows<int>{1, 13, 3});
  check(outcomes.size() == 3 && *outcomes[0] == 2 && *outcomes[2] == 4, what);
  check(outcomes[1].status() == (throws ? galley::Status::internal : galley::Status::ok), what);
  heard_sum = 0;
  const Heard heard = listen;
  graph.submit(1, {}, heard);
  graph.submit(13, {}, heard);
  const HeardAll heard_all = listen_all;
  graph.submit_rows(galley::Rows<int>{1, 2}, {}, galley::BatchCompletion<int>(2, heard_all));
  executor.run_ready();
  check(heard_sum == (throws ? 2 : 16) + 5, what);
}

galley::Servable<int, int> batches(const galley::Executor& executor,
                                   galley::Servable<int, int> model) {
  return galley::batched(executor, std::move(model), {.caller_runs = galley::CallerRuns::never});
}

/// Rows are copied when a caller's queue, and to fill batches up.
void check_copies(const galley::Executor& executor, Look look) {
  const galley::Status wanted = throws ? galley::Status::internal : galley::Status::ok;
  const Fragile good(1), bad(throws ? 13 : 2);
  galley::BatchOptions options{.caller_runs = galley::CallerRuns::never};
  for (const bool filled : {false, true}) {
    if (filled) options.sizes = {4};
    const auto looks = galley::batched(executor, galley::map("look", look), options);
    check(looks.serve(good).value_or(-1) == 1, "batched, copied rows");
    check(looks.serve(bad).status() == wanted, "batched, copied rows");
    check(looks.serve(Fragile(throws ? 13 : 2)).status() == (filled ? wanted : galley::Status::ok),
          "batched, copied to fill up");
  }
}

void check_padded(const galley::ManualExecutor& executor, Measure measure) {
  const galley::Padding options{.lengths = {4}, .check = galley::Padding::Check::trust};
  const std::vector<float> numbers(3, 13);
  const galley::Tensor good = *galley::Tensor::copy_of(std::span(numbers).first(2), {2});
  const galley::Tensor bad = *galley::Tensor::copy_of(numbers, {3});
  const auto model = galley::map("measure", measure);
  for (const auto& graph :
       {galley::padded(model, options), galley::padded(galley::batched(executor, model), options),
        galley::batched(executor, galley::padded(model, options))}) {
    check(graph.serve(good).value_or(-1) == 26, "padded");
    check(graph.serve(bad).status() == (throws ? galley::Status::internal : galley::Status::ok),
          "padded");
    const auto outcomes = graph.serve_rows(galley::Rows<galley::Tensor>{good, bad, good});
    check(outcomes.size() == 3 && *outcomes[2] == 26, "padded rows");
  }
}

void run_cases() {
  const galley::ManualExecutor executor;
  const Step step = plus_one;
  const Steps steps = all_plus_one;
  const Later later = plus_one_later;
  const LaterAll later_all = all_plus_one_later;
  const Look look = value_of;
  check_graph(galley::map(step), executor, "map");
  check_graph(galley::map_batch("all", steps), executor, "map_batch");
  check_graph(galley::map("later", later), executor, "map, later");
  check_graph(galley::Servable<int, int>("s", step), executor, "servable");
  check_graph(galley::on(executor, galley::map("on", step)), executor, "on");
  const auto same = galley::map(
      "same", +[](int n) { return n; });
  check_graph(same | step, executor, "pipeline with a function");
  check_graph(galley::on(executor, same) | galley::map("last", step), executor, "pipeline");
  check_graph(galley::slot("slot", galley::map("version", step)).servable, executor, "slot");
  check_graph(batches(executor, galley::map("batched", step)), executor, "batched");
  check_graph(batches(executor, galley::map_batch("batched", steps)), executor, "batched, all");
  check_graph(batches(executor, galley::map("batched", later)), executor, "batched, later");
  check_graph(galley::batched(executor, same | step), executor, "batched pipeline");
  const auto graph = galley::map_batch("all later", later_all);
  check(graph.serve(1).value_or(-1) == 2, "map_batch, later");
  check(graph.serve(13).status() == (throws ? galley::Status::internal : galley::Status::ok),
        "map_batch, later");
  const auto looks = galley::on(executor, galley::map("look", look));
  const Fragile good(1), bad(throws ? 13 : 2);
  check_copies(executor, look);
  check_padded(executor, measured);
  check(looks.serve(good).value_or(-1) == 1, "copied rows");
  check(looks.serve(bad).status() == (throws ? galley::Status::internal : galley::Status::ok),
        "copied rows");
}
