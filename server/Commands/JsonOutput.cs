using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using LlamaServe.V1;

namespace LlamaServe.Server.Commands;

/// <summary>One JSON object at the end.</summary>
internal sealed class JsonOutput(TextWriter output) : IGenerationOutput
{
    private readonly StringBuilder _text = new();
    private readonly List<uint> _ids = [];
    private readonly List<float> _logProbs = [];
    private PromptInfo _prompt = new();
    private Finish _finish = new();
    private Usage _usage = new();
    private Timings _timings = new();

    public void Add(GenerateResponse response)
    {
        _prompt = response.Prompt ?? _prompt;
        _usage = response.Usage ?? _usage;
        _timings = response.Timings ?? _timings;
        foreach (Delta delta in response.Deltas)
        {
            _text.Append(delta.Text);
            _ids.AddRange(delta.TokenIds);
            _logProbs.AddRange(delta.Logprobs.Select(token => token.Logprob));
            _finish = delta.Finish ?? _finish;
        }
    }

    public void End()
    {
        using MemoryStream buffer = new();
        using (Utf8JsonWriter json = new(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            Write(json);
        }
        output.WriteLine(Encoding.UTF8.GetString(buffer.GetBuffer().AsSpan(0, (int)buffer.Length)));
        output.Flush();
    }

    public void Break()
    {
    }

    private void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("request_id", _prompt.RequestId);
        json.WriteString("model", _prompt.Model);
        json.WriteNumber("seed", _prompt.Seed);
        json.WriteString("text", _text.ToString());
        json.WriteStartArray("token_ids");
        _ids.ForEach(id => json.WriteNumberValue(id));
        json.WriteEndArray();
        json.WriteStartArray("logprobs");
        _logProbs.ForEach(json.WriteNumberValue);
        json.WriteEndArray();
        json.WriteString("finish_reason", _finish.Reason switch
        {
            FinishReason.Stop => "stop",
            FinishReason.Length => "length",
            FinishReason.ContextFull => "context_full",
            _ => "unspecified",
        });
        WriteUsage(json);
        WriteTimings(json);
        json.WriteEndObject();
    }

    private void WriteUsage(Utf8JsonWriter json)
    {
        json.WriteStartObject("usage");
        json.WriteNumber("prompt_tokens", _usage.PromptTokens);
        json.WriteNumber("cached_tokens", _usage.CachedTokens);
        json.WriteNumber("completion_tokens", _usage.CompletionTokens);
        json.WriteEndObject();
    }

    private void WriteTimings(Utf8JsonWriter json)
    {
        GenerationSpeed speed = new(_usage, _timings);
        json.WriteStartObject("timings");
        json.WriteNumber("queue_ms", _timings.QueueMs);
        json.WriteNumber("prefill_ms", _timings.PrefillMs);
        json.WriteNumber("time_to_first_token_ms", _timings.TimeToFirstTokenMs);
        json.WriteNumber("decode_ms", _timings.DecodeMs);
        json.WriteNumber("prefill_tokens_per_second", speed.PrefillTokensPerSecond);
        json.WriteNumber("decode_tokens_per_second", speed.DecodeTokensPerSecond);
        json.WriteEndObject();
    }
}
