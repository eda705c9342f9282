import { useEffect, useState } from "react";
import { connect } from "parlor-client";

/** The messages of a room, whether there is a connection, and a function that posts. */
export function useRoom(url, name, roomName) {
  const [room, setRoom] = useState();
  const [state, setState] = useState("connecting");
  const [messages, setMessages] = useState([]);
  useEffect(() => {
    const chat = connect(url, { name });
    const joined = chat.join(roomName);
    chat.addEventListener("state", ({ detail }) => setState(detail.state));
    joined.addEventListener("messages", ({ detail }) => setMessages((all) => [...all, ...detail.items].slice(-200)));
    setRoom(joined);
    return () => {
      chat.close();
      setMessages([]);
    };
  }, [url, name, roomName]);
  return { state, messages, post: (text) => room?.post({ text }) };
}

export function Room({ url, name, room }) {
  const { state, messages, post } = useRoom(url, name, room);
  const send = (event) => {
    event.preventDefault();
    post(event.target.elements.text.value)?.catch(({ message }) => alert(message));
    event.target.reset();
  };
  return (
    <>
      <p role="status">{state}</p>
      <ul>
        {messages.map(({ seq, epoch, from, body }) => (
          <li key={`${epoch} ${seq}`}>{`${from.name}: ${body.text}`}</li>
        ))}
      </ul>
      <form onSubmit={send}>
        <input name="text" aria-label="Message" autoComplete="off" />
        <button>Send</button>
      </form>
    </>
  );
}
