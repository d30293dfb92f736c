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
  const auto graph = galley::map_batch("all later", later_all);
  check(graph.serve(1).value_or(-1) == 2, "map_batch, later");
  check(graph.serve(13).status() == (throws ? galley::Status::internal : galley::Status::ok),
        "map_batch, later");
  const auto looks = galley::on(executor, galley::map("look", look));
  const Fragile good(1), bad(throws ? 13 : 2);
  check(looks.serve(good).value_or(-1) == 1, "copied rows");
  check(looks.serve(bad).status() == (throws ? galley::Status::internal : galley::Status::ok),
        "copied rows");
}
