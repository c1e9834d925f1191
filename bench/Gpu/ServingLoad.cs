using System.Diagnostics;
using LlamaServe.Engine;
using LlamaServe.Engine.Requests;

namespace LlamaServe.Bench.Gpu;

/// <summary>What was measured of steady serving.</summary>
/// <param name="TokensPerSecond">New tokens of all sequences, with the prompts of those that replace finished ones.</param>
/// <param name="StepSeconds">Median of a step.</param>
/// <param name="HostSeconds">Median of the part of a step that the engine's thread did not spend in the model.</param>
/// <param name="Seconds">How long it was measured.</param>
internal sealed record ServingMeasure(double TokensPerSecond, double StepSeconds, double HostSeconds, double Seconds);

/// <summary>
/// Keeps an engine busy with requests of one shape, one for each place: a finished one is replaced at once. The first ones begin
/// at evenly spread phases (part of their output is prompt instead), so that the mix of a long run is there from the start.
/// </summary>
internal sealed class ServingLoad(LlamaEngine engine, int promptTokens, int newTokens, int places, int vocabulary)
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(1);

    private int _failed;

    /// <summary>Measures for <paramref name="window"/> once all first prompts are computed.</summary>
    /// <exception cref="TimeoutException">That took longer than <paramref name="patience"/>.</exception>
    /// <exception cref="InvalidOperationException">Requests failed.</exception>
    public async Task<ServingMeasure> MeasureAsync(TimeSpan window, TimeSpan patience)
    {
        using CancellationTokenSource stop = new();
        long goal = engine.GetStatistics().PrefillTokens;
        Task[] clients = new Task[places];
        for (int place = 0; place < places; place++)
        {
            int done = (int)((long)place * newTokens / places);
            goal += promptTokens + done;
            clients[place] = Task.Run(() => KeepAsync(promptTokens + done, newTokens - done, stop.Token));
        }
        try
        {
            await FillAsync(goal, patience);
            return await WatchAsync(window);
        }
        finally
        {
            await stop.CancelAsync();
            await Task.WhenAll(clients);
        }
    }

    private async Task KeepAsync(int prompt, int output, CancellationToken stop)
    {
        try
        {
            while (!stop.IsCancellationRequested)
            {
                await foreach (GeneratedToken token in engine.GenerateAsync(Request(prompt, output), stop))
                {
                    if (token.Finish is { Reason: not FinishReason.Length } && !stop.IsCancellationRequested)
                    {
                        Interlocked.Increment(ref _failed);
                        return;
                    }
                }
                (prompt, output) = (promptTokens, newTokens);
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or RequestRejectedException)
        {
            _ = stop.IsCancellationRequested ? 0 : Interlocked.Increment(ref _failed);
        }
    }

    private GenerationRequest Request(int prompt, int output) => new()
    {
        PromptTokenIds = Enumerable.Range(0, prompt).Select(i => 259 + i * 7919 % (vocabulary - 259)).ToArray(),
        Sampling = SamplingParameters.Greedy,
        MaxTokens = output,
        IgnoreEos = true,
        ReturnText = false,
    };

    private async Task FillAsync(long goal, TimeSpan patience)
    {
        Stopwatch waited = Stopwatch.StartNew();
        while (engine.GetStatistics().PrefillTokens < goal)
        {
            ThrowIfFailed();
            if (waited.Elapsed > patience)
            {
                throw new TimeoutException($"after {waited.Elapsed.TotalSeconds:F0} s, {goal - engine.GetStatistics().PrefillTokens} tokens of the first prompts were not computed yet");
            }
            await Task.Delay(Poll);
        }
    }

    private async Task<ServingMeasure> WatchAsync(TimeSpan window)
    {
        List<double> steps = [], host = [];
        EngineStatistics first = engine.GetStatistics(), last = first;
        Stopwatch watch = Stopwatch.StartNew();
        // At least some steps, however slow the device is.
        while (watch.Elapsed < window || steps.Count < 3)
        {
            await Task.Delay(Poll);
            ThrowIfFailed();
            EngineStatistics now = engine.GetStatistics();
            if (now.Steps != last.Steps)
            {
                steps.Add(now.LastStepTime.TotalSeconds);
                host.Add(now.LastHostTime.TotalSeconds);
                last = now;
            }
        }
        double seconds = watch.Elapsed.TotalSeconds;
        return new ServingMeasure((engine.GetStatistics().GeneratedTokens - first.GeneratedTokens) / seconds, Median(steps), Median(host), seconds);
    }

    private void ThrowIfFailed()
    {
        if (_failed > 0 || engine.State != EngineState.Ready)
        {
            throw new InvalidOperationException($"{_failed} requests failed, the engine is {engine.State}");
        }
    }

    private static double Median(List<double> values)
    {
        values.Sort();
        return values[values.Count / 2];
    }
}
