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
internal sealed class ServingLoad(LlamaEngine engine, int promptTokens, int newTokens, int vocabulary)
{
    /// <summary>Multiples of it, less whole numbers, are evenly spread however many there are.</summary>
    private const double GoldenRatio = 0.6180339887498949;

    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(1);

    private int _failed, _started;

    /// <summary>Measures each number of places for <paramref name="window"/>, once all of them have their first new token.</summary>
    /// <param name="places">Ascending.</param>
    /// <param name="measured">Gets a number of places and what was measured of it.</param>
    /// <exception cref="TimeoutException">That took longer than <paramref name="patience"/>.</exception>
    /// <exception cref="InvalidOperationException">Requests failed.</exception>
    public async Task MeasureAsync(IEnumerable<int> places, TimeSpan window, TimeSpan patience, Action<int, ServingMeasure> measured)
    {
        using CancellationTokenSource stop = new();
        List<Task> clients = [];
        Stopwatch waited = Stopwatch.StartNew();
        try
        {
            foreach (int count in places)
            {
                while (clients.Count < count)
                {
                    int done = (int)(clients.Count * GoldenRatio % 1 * newTokens);
                    clients.Add(Task.Run(() => KeepAsync(promptTokens + done, newTokens - done, stop.Token)));
                }
                await FillAsync(count, waited, patience);
                measured(count, await WatchAsync(window));
            }
        }
        finally
        {
            await stop.CancelAsync();
            await Task.WhenAll(clients);
        }
    }

    /// <summary>New tokens a second of so many requests that come at once, from then to the last token.</summary>
    /// <exception cref="TimeoutException">That took longer than <paramref name="patience"/>.</exception>
    /// <exception cref="InvalidOperationException">Requests failed.</exception>
    public async Task<double> RunAllAsync(int requests, TimeSpan patience)
    {
        using CancellationTokenSource stop = new();
        Stopwatch watch = Stopwatch.StartNew();
        Task all = Task.WhenAll(Enumerable.Range(0, requests).Select(_ => Task.Run(() => RunAsync(promptTokens, newTokens, stop.Token))));
        try
        {
            await all.WaitAsync(patience);
        }
        finally
        {
            await stop.CancelAsync();
            await all;
        }
        ThrowIfFailed();
        return (double)requests * newTokens / watch.Elapsed.TotalSeconds;
    }

    private async Task KeepAsync(int prompt, int output, CancellationToken stop)
    {
        for (bool goesOn = true, isFirst = true; goesOn && !stop.IsCancellationRequested; isFirst = false)
        {
            goesOn = await RunAsync(prompt, output, stop, isFirst);
            (prompt, output) = (promptTokens, newTokens);
        }
    }

    /// <returns>Whether the request ended as it should.</returns>
    private async Task<bool> RunAsync(int prompt, int output, CancellationToken stop, bool isFirst = false)
    {
        try
        {
            await foreach (GeneratedToken token in engine.GenerateAsync(Request(prompt, output), stop))
            {
                _ = isFirst ? Interlocked.Increment(ref _started) : 0;
                isFirst = false;
                if (token.Finish is { Reason: not FinishReason.Length } && !stop.IsCancellationRequested)
                {
                    Interlocked.Increment(ref _failed);
                    return false;
                }
            }
            return true;
        }
        catch (Exception exception) when (exception is OperationCanceledException or RequestRejectedException)
        {
            _ = stop.IsCancellationRequested ? 0 : Interlocked.Increment(ref _failed);
            return false;
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

    private async Task FillAsync(int places, Stopwatch waited, TimeSpan patience)
    {
        while (Volatile.Read(ref _started) < places)
        {
            ThrowIfFailed();
            if (waited.Elapsed > patience)
            {
                throw new TimeoutException($"after {waited.Elapsed.TotalSeconds:F0} s, {places - _started} of {places} first prompts were not computed yet");
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
