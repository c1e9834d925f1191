using System.Net.ServerSentEvents;
using System.Text.Json;
using LlamaServe.Models.Tokenization;

namespace LlamaServe.Bench.Load;

/// <summary>
/// Reads an answer that comes as server-sent events. Pieces are timed as <c>vllm bench serve</c> does: every event with choices counts,
/// also one without text, and the last number of tokens that <c>usage</c> tells is the answer's.
/// </summary>
/// <param name="tokenizer">Counts the tokens of an answer whose server tells no usage; null: its pieces with text are counted.</param>
internal sealed class AnswerStream(RequestRecord record, Tokenizer? tokenizer)
{
    // "reasoning…" is what parsers of thoughts call their part of the answer.
    private static readonly string[] TextFields = ["text", "content", "reasoning_content", "reasoning"];

    private int? _tokens;
    private int _pieces;
    private bool _isFinished;

    /// <exception cref="JsonException">An event is no JSON.</exception>
    /// <exception cref="InvalidOperationException">An event has another shape.</exception>
    public async Task ReadAsync(Stream body, CancellationToken cancellationToken)
    {
        await foreach (SseItem<string> item in SseParser.Create(body).EnumerateAsync(cancellationToken))
        {
            if (item.Data == "[DONE]")
            {
                _isFinished = true;
                break;
            }

            using JsonDocument document = JsonDocument.Parse(item.Data);
            if (document.RootElement.TryGetProperty("error", out JsonElement error) && error.ValueKind != JsonValueKind.Null)
            {
                record.MarkFailed(OpenAiGenerationClient.Head(error.ToString()));
                return;
            }

            Note(document.RootElement);
        }

        End();
    }

    private void Note(JsonElement item)
    {
        if (item.TryGetProperty("choices", out JsonElement choices) && choices.GetArrayLength() > 0)
        {
            string text = TextOf(choices[0]);
            record.MarkPiece(0, text);
            _pieces += text.Length > 0 ? 1 : 0;
            _isFinished |= choices[0].TryGetProperty("finish_reason", out JsonElement reason) && reason.ValueKind == JsonValueKind.String;
        }

        if (item.TryGetProperty("usage", out JsonElement usage) && usage.ValueKind == JsonValueKind.Object)
        {
            _tokens = Number(usage, "completion_tokens") ?? _tokens;
            bool hasDetails = usage.TryGetProperty("prompt_tokens_details", out JsonElement details) && details.ValueKind == JsonValueKind.Object;
            record.MarkPrompt(Number(usage, "prompt_tokens"), hasDetails ? Number(details, "cached_tokens") : null);
        }
    }

    private void End()
    {
        if (_tokens is null && !_isFinished)
        {
            record.MarkFailed("the stream broke off");
            return;
        }

        bool isEstimated = _tokens is null;
        record.MarkEnded(_tokens ?? tokenizer?.Encode(record.Text, addSpecialTokens: false).Count ?? _pieces, isEstimated);
    }

    private static string TextOf(JsonElement choice)
    {
        JsonElement holder = choice.TryGetProperty("delta", out JsonElement delta) ? delta : choice;
        foreach (string field in TextFields)
        {
            if (holder.TryGetProperty(field, out JsonElement text) && text.ValueKind == JsonValueKind.String && text.GetString() is { Length: > 0 } found)
            {
                return found;
            }
        }

        return "";
    }

    private static int? Number(JsonElement holder, string field) =>
        holder.TryGetProperty(field, out JsonElement number) && number.ValueKind == JsonValueKind.Number && number.TryGetInt32(out int value) ? value : null;
}
