using System.CommandLine;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Exporters.Json;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

namespace LlamaServe.Bench.Micro;

/// <summary><c>micro</c>: small parts, by BenchmarkDotNet.</summary>
internal static class MicroCommand
{
    public static Command Create()
    {
        Command command = new("micro", "Measure the scheduler's time and allocations a step.");
        command.SetAction(_ =>
        {
            // In this process, because a project that BenchmarkDotNet generates would be built under this repository's rules.
            Job job = Job.Default.WithToolchain(InProcessEmitToolchain.Instance)
                .WithInvocationCount(SchedulerBenchmarks.StepsPerIteration).WithUnrollFactor(16);
            IConfig config = ManualConfig.CreateEmpty()
                .AddJob(job)
                .AddLogger(ConsoleLogger.Default)
                .AddColumnProvider(DefaultColumnProviders.Instance)
                .AddDiagnoser(MemoryDiagnoser.Default)
                .AddExporter(JsonExporter.Brief)
                .WithArtifactsPath(Path.Combine(Repository.Root, "artifacts", "benchmarks"));
            BenchmarkRunner.Run<SchedulerBenchmarks>(config);
        });
        return command;
    }
}
