using System.Collections.Concurrent;
using System.Diagnostics;
using LlamaServe.Models.Tokenization;

namespace LlamaServe.Bench.Load;

/// <summary>
/// Sends conversations when they are due, whether or not earlier ones are answered (open loop), unless a limit of requests in flight
/// holds them back.
/// </summary>
/// <param name="maxConcurrency">Requests in flight at most; null: no limit.</param>
/// <param name="tokenizer">Encodes answers that come as text only, for the turn after; null where ids come or turns are single.</param>
internal sealed class LoadGenerator(IGenerationClient client, int? maxConcurrency, Tokenizer? tokenizer)
{
    private readonly SemaphoreSlim? _places = maxConcurrency is { } places ? new SemaphoreSlim(places) : null;
    private readonly ConcurrentBag<RequestRecord> _records = [];
    private int _inFlight;

    /// <summary>Requests sent and not yet ended.</summary>
    public int InFlight => Volatile.Read(ref _inFlight);

    public IReadOnlyCollection<RequestRecord> Records => _records;

    /// <param name="arrivals">[conversation]: seconds from now.</param>
    /// <returns>Seconds until the last answer's end.</returns>
    public async Task<double> RunAsync(Conversation[] conversations, double[] arrivals, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        List<Task> running = new(conversations.Length);
        for (int i = 0; i < conversations.Length; i++)
        {
            TimeSpan wait = TimeSpan.FromSeconds(arrivals[i]) - Stopwatch.GetElapsedTime(start);
            if (wait >= TimeSpan.FromMilliseconds(1))
            {
                await Task.Delay(wait, cancellationToken);
            }

            int index = i;
            long due = start + (long)(arrivals[i] * Stopwatch.Frequency);
            running.Add(Task.Run(() => HoldAsync(conversations[index], index, due, cancellationToken), cancellationToken));
        }

        await Task.WhenAll(running);
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private async Task HoldAsync(Conversation conversation, int index, long due, CancellationToken cancellationToken)
    {
        ConversationHistory history = new(tokenizer);
        foreach (Turn turn in conversation.Turns)
        {
            LoadRequest request = history.Ask(turn);
            RequestRecord record = new(request.Prompt.Length) { Conversation = index, Due = due, AskedTokens = turn.OutputTokens };
            await SendAsync(request, record, cancellationToken);
            _records.Add(record);
            due = Stopwatch.GetTimestamp();
            if (record.Error is not null)
            {
                return;
            }

            if (!ReferenceEquals(turn, conversation.Turns[^1]))
            {
                history.AddAnswer(record);
            }
        }
    }

    private async Task SendAsync(LoadRequest request, RequestRecord record, CancellationToken cancellationToken)
    {
        if (_places is not null && !_places.Wait(0, cancellationToken))
        {
            await _places.WaitAsync(cancellationToken);
            // Held back on purpose.
            record.Due = Stopwatch.GetTimestamp();
        }

        Interlocked.Increment(ref _inFlight);
        try
        {
            await client.SendAsync(request, record, cancellationToken);
        }
        finally
        {
            Interlocked.Decrement(ref _inFlight);
            _places?.Release();
        }
    }
}
